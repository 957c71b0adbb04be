"""Run the repository's graphs in this process, with ONNX Runtime on the CPU.

A graph is `<repository>/<model>/<version>/model.onnx`, the highest version as in Triton.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import onnxruntime as ort

from fercore.contracts.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    UnknownModel,
    UpstreamUnavailable,
)
from fercore.inference.backend import MAX_BATCH, Tensor
from fercore.inference.session import DTYPES, FATAL, ORT_FAULTS, fits, open_session

_LOG = logging.getLogger(__name__)


class OnnxRuntimeBackend:
    """A `Backend` whose sessions run in one thread pool of known size.

    A session is loaded when its model is first asked for and shared by all threads; each run uses
    `intra_op_threads`, so `threads * intra_op_threads` cores are busy at most. A run that is out of time is
    told to stop, so it frees its thread too.

    Args:
        repository: the model repository.
        threads: how many runs may go on at once.
        intra_op_threads: threads inside one run.
    """

    def __init__(
        self,
        repository: Path,
        *,
        threads: int,
        intra_op_threads: int = 1,
    ) -> None:
        self._repository = repository
        self._intra_op_threads = intra_op_threads
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._loading = threading.Lock()
        self._broken: set[str] = set()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._is_closed = False

    async def infer(
        self, model: str, inputs: Mapping[str, Tensor], outputs: Sequence[str], *, timeout_s: float
    ) -> dict[str, Tensor]:
        """Run `model` once in the pool; see `Backend.infer`."""
        if self._is_closed:
            raise UpstreamUnavailable("inference has been shut down")
        options = ort.RunOptions()
        options.log_severity_level = FATAL
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool, copy_context().run, self._run, model, inputs, outputs, options
                )
        except TimeoutError as err:
            raise DeadlineExceeded(f"inference took longer than {timeout_s:.3f} s") from err
        finally:
            options.terminate = True

    async def is_ready(self, model: str) -> bool:
        """Return whether `model` is loaded, after loading it if need be; see `Backend.is_ready`."""
        if self._is_closed:
            return False
        if model in self._sessions:
            return True
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._session, model)
        except UnknownModel:
            return False
        return True

    async def close(self) -> None:
        """Wait for running calls, at most for their timeouts, then stop the threads."""
        self._is_closed = True
        await asyncio.to_thread(self._pool.shutdown)
        self._sessions.clear()

    def _run(
        self, model: str, inputs: Mapping[str, Tensor], outputs: Sequence[str], options: ort.RunOptions
    ) -> dict[str, Tensor]:
        session = self._session(model)
        _check_request(session, inputs, outputs)
        try:
            values = session.run(list(outputs), dict(inputs), options)
        except ORT_FAULTS as err:
            raise InternalError from err
        return dict(zip(outputs, values, strict=True))

    def _session(self, model: str) -> ort.InferenceSession:
        session = self._sessions.get(model)
        if session is not None:
            return session
        with self._loading:
            if model not in self._sessions:
                self._sessions[model] = self._load(model)
            return self._sessions[model]

    def _load(self, model: str) -> ort.InferenceSession:
        graph = _find_graph(self._repository, model)
        if graph is None:
            raise UnknownModel(model, self._offered())
        try:
            session = open_session(graph, threads=self._intra_op_threads)
        except ORT_FAULTS as err:
            if model not in self._broken:  # it is tried again and again: it may be replaced
                self._broken.add(model)
                _LOG.exception("a model cannot be loaded", extra={"model": model})
            raise UnknownModel(model, self._offered()) from err
        self._broken.discard(model)
        return session

    def _offered(self) -> list[str]:
        return [graph.parent.parent.name for graph in self._repository.glob("*/*/model.onnx")]


def _find_graph(repository: Path, model: str) -> Path | None:
    """Return the graph of the model's highest version; a name that is no plain folder name has none."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", model):
        return None
    graphs = [path for path in (repository / model).glob("*/model.onnx") if path.parent.name.isdecimal()]
    return max(graphs, key=lambda path: int(path.parent.name), default=None)


def _check_request(
    session: ort.InferenceSession, inputs: Mapping[str, Tensor], outputs: Sequence[str]
) -> None:
    wanted = {node.name: node for node in session.get_inputs()}
    if inputs.keys() != wanted.keys():
        raise InvalidRequest(f"the model takes {sorted(wanted)}, not {sorted(inputs)}")
    offered = {node.name for node in session.get_outputs()}
    if not outputs or not offered.issuperset(outputs):
        raise InvalidRequest(f"the model gives {sorted(offered)}, not {sorted(outputs)}")
    for name, node in wanted.items():
        tensor = inputs[name]
        if tensor.dtype != DTYPES.get(node.type):
            raise InvalidRequest(f"{name} must be {node.type}, not {tensor.dtype}")
        if not fits(tensor.shape, node.shape):
            raise InvalidRequest(f"{name} must have shape {node.shape}, not {list(tensor.shape)}")
        if not 1 <= len(tensor) <= MAX_BATCH:
            raise InvalidRequest(f"{name} must have 1 to {MAX_BATCH} rows, not {len(tensor)}")
    if len({len(tensor) for tensor in inputs.values()}) > 1:
        raise InvalidRequest("the inputs differ in their number of rows")

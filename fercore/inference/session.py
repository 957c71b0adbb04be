"""Open ONNX graphs with ONNX Runtime on the CPU, and run one in the caller's own thread.

A detector plug-in uses `load_graph`; the classifier's backend uses `open_session` with checks of its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_faults

from fercore.inference.backend import Tensor

Shape = Sequence[int | str | None]
"""Lengths; a name or None stands for any length."""

ORT_FAULTS: tuple[type[Exception], ...] = tuple(
    fault for fault in vars(ort_faults).values() if isinstance(fault, type) and issubclass(fault, Exception)
)
"""ONNX Runtime's exceptions have no common base but Exception."""

FATAL = 4
"""ONNX Runtime writes to stderr by itself; faults are raised, so it need not."""

DTYPES = {
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}


class Graph:
    """A loaded graph with one input; several threads may run it at once, each on its own core.

    Attributes:
        input_shape: as the graph declares it; None where any length is taken.
        metadata: what the file says of itself.
    """

    def __init__(self, session: ort.InferenceSession, outputs: Sequence[str]) -> None:
        (node,) = session.get_inputs()
        self.input_shape = tuple(length if isinstance(length, int) else None for length in node.shape)
        self.metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        self._session = session
        self._input = node.name
        self._outputs = list(outputs)

    def run(self, tensor: Tensor) -> list[Tensor]:
        """Run the graph once; gives its outputs in the order of `load_graph`'s `gives`."""
        options = ort.RunOptions()
        options.log_severity_level = FATAL
        outputs: list[Tensor] = self._session.run(self._outputs, {self._input: tensor}, options)
        return outputs


def load_graph(
    repository: Path,
    file: str,
    *,
    takes: Shape,
    gives: Sequence[Shape],
    hint: str,
    dtype: type[np.generic] = np.float32,
) -> Graph:
    """Load a plug-in's weights and make sure that they are what it can use.

    Args:
        repository: the model repository.
        file: in the repository, e.g. `detector_yunet/model.onnx`; messages name it so.
        takes: shape of the only input.
        gives: shapes of all outputs; the graph may declare them in another order.
        hint: what to do when the file is missing or wrong, e.g. "`make models` fetches it".
        dtype: of the input.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no graph, or one of other inputs or outputs.
    """
    path = repository / file
    if not path.is_file():
        raise FileNotFoundError(f"{file} is missing: {hint}")
    try:
        session = open_session(path)
    except ORT_FAULTS as err:
        raise ValueError(f"{file} is no ONNX graph that can be run: {hint}") from err
    inputs = session.get_inputs()
    if len(inputs) != 1 or DTYPES.get(inputs[0].type) is not dtype or not fits(inputs[0].shape, takes):
        raise ValueError(f"{file} takes {_text(inputs)}, not one {dtype.__name__} {_shape(takes)}: {hint}")
    left = {node.name: node.shape for node in session.get_outputs()}
    found: list[str] = []
    for shape in gives:
        name = next((name for name, declared in left.items() if fits(declared, shape)), None)
        if name is not None:
            found.append(name)
            del left[name]
    if left or len(found) < len(gives):
        wanted = ", ".join(_shape(shape) for shape in gives)
        raise ValueError(f"{file} gives {_text(session.get_outputs())}, not {wanted}: {hint}")
    return Graph(session, found)


def open_session(graph: Path, *, threads: int = 1) -> ort.InferenceSession:
    """Open a graph; a run uses `threads` cores, and with one it stays in the caller's thread.

    Raises:
        one of ORT_FAULTS: the file is no graph, or the runtime cannot run it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def fits(shape: Shape, wanted: Shape) -> bool:
    """Compare two shapes; what either leaves open fits."""
    return len(shape) == len(wanted) and all(
        not isinstance(one, int) or not isinstance(other, int) or one == other
        for one, other in zip(shape, wanted, strict=True)
    )


def _text(nodes: Sequence[ort.NodeArg]) -> str:
    return ", ".join(f"{node.name} {node.type} {_shape(node.shape)}" for node in nodes) or "nothing"


def _shape(shape: Shape) -> str:
    return "[" + ", ".join(str(length) if isinstance(length, int) else "?" for length in shape) + "]"

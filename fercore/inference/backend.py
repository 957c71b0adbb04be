"""The seam between the classifier and whatever runs its graphs.

`onnxruntime.OnnxRuntimeBackend` and `triton.TritonBackend` fill it and pass one
conformance suite (`tests/contract/test_backend_conformance.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

Tensor = npt.NDArray[Any]
"""Any array of a dtype that ONNX and Triton share."""

MAX_BATCH = 64
"""Most rows one `infer` takes; `max_batch_size` of every `config.pbtxt`. The caller splits what is longer."""


class Backend(Protocol):
    """Runs one named model folder of a repository on a batch."""

    async def infer(
        self, model: str, inputs: Mapping[str, Tensor], outputs: Sequence[str], *, timeout_s: float
    ) -> dict[str, Tensor]:
        """Run `model` (its folder's name, e.g. `emotion_cnn3`) once.

        Args:
            model: folder name in the model repository.
            inputs: by graph input name; the first axis is the batch, 1 to `MAX_BATCH` rows.
            outputs: the graph outputs wanted.
            timeout_s: give up after this time; waiting for a free thread or for the model to load counts.

        Returns:
            The wanted outputs by name, in the caller's order of rows. Read-only where the runtime's memory
            is handed on without a copy.

        Raises:
            UnknownModel: the backend does not have it, or could not load it.
            InvalidRequest: names, shapes, types or the number of rows do not fit the graph.
            DeadlineExceeded: no answer in `timeout_s`.
            UpstreamUnavailable: the inference server cannot be reached, or the backend is closed.
            InternalError: the graph failed.
        """
        ...

    async def is_ready(self, model: str) -> bool:
        """Return whether `model` can be asked now; False when the server is down. Never raises."""
        ...

    async def close(self) -> None:
        """Release threads and connections."""
        ...

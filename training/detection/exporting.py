"""Turn a network with its public weights into an ONNX file's bytes, checked against torch."""

import pickle
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from fercore.inference.session import open_session
from training.errors import TrainingError
from training.exporting.onnx import trace

INPUT = "image"
TOLERANCE = 1e-4
"""Largest difference of a value between torch and the graph."""


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read a file of public weights; nothing but tensors is unpacked from it.

    Raises:
        TrainingError: it cannot be read, or is something else.
    """
    try:
        state: object = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as err:
        raise TrainingError(f"{file} cannot be read as weights: {type(err).__name__}") from err
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TrainingError(f"{file} is no table of weights")
    return state


def load_weights(network: nn.Module, state: Mapping[str, Tensor], name: str) -> nn.Module:
    """Fill a network with weights, all of them.

    Raises:
        TrainingError: a weight is missing, left over or of another shape.
    """
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as err:
        line = " ".join(str(err).split())[:300]
        raise TrainingError(f"the weights are not those of {name}: {line}") from err
    return network.eval()


def to_onnx(
    network: nn.Module,
    shapes: Sequence[tuple[int, ...]],
    *,
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float32,
    is_compared: bool = True,
) -> bytes:
    """Trace a network and compare its answers with the graph's.

    Args:
        network: takes one tensor, gives one for each of `outputs`.
        shapes: of inputs that are compared; the first is traced.
        outputs: their names.
        axes: names of the open axes, by input or output and axis.
        metadata: written into the file.
        dtype: of the input, float32 (compared from -1 to 1) or uint8.
        is_compared: False where random inputs are no meaningful test.

    Raises:
        TrainingError: a value differs by more than `TOLERANCE`.
    """
    example = torch.zeros(shapes[0], dtype=dtype)
    model = trace(network, example, input_name=INPUT, outputs=outputs, axes=axes)
    onnx.helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    graph = bytes(model.SerializeToString())
    if is_compared:
        _check(network, graph, shapes, dtype)
    return graph


def _check(network: nn.Module, graph: bytes, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> None:
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(graph)
        file.flush()
        session = open_session(Path(file.name))
    for seed, shape in enumerate(shapes):
        image = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        if dtype == torch.uint8:
            image = ((image + 1) * 127.5).to(torch.uint8)
        with torch.no_grad():
            expected = [output.numpy() for output in network(image)]
        for wanted, given in zip(expected, session.run(None, {INPUT: image.numpy()}), strict=True):
            difference = float(np.abs(wanted - given).max()) if wanted.shape == given.shape else np.inf
            if not difference <= TOLERANCE:
                raise TrainingError(f"the graph's answer to {shape} differs from torch's by {difference:.2g}")

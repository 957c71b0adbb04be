"""ONNX graphs: make one from a network, check it, run a model folder's.

Knows no data set. Serving's own in-process backend runs them, so that what is measured is what is served.
"""

import asyncio
import tempfile
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from tqdm import tqdm

from fercore.contracts.card import FACE_SIZE, FEATURES_NAME, INPUT_NAME, LOGITS_NAME
from fercore.contracts.errors import FerError
from fercore.inference.backend import MAX_BATCH
from fercore.inference.onnxruntime import OnnxRuntimeBackend
from training.errors import TrainingError

OPSET, IR_VERSION = 17, 8
"""The stock 24.10 Triton loads opset <= 18 and IR <= 9."""

BATCH_AXIS = "n"
TIMEOUT_S = 60.0
Crops = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]


def to_onnx(servable: nn.Module) -> bytes:
    """Trace a module from uint8 crops to (logits, features) into an ONNX file's bytes."""
    example = torch.zeros(2, FACE_SIZE, FACE_SIZE, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated; the other needs more packages
        torch.onnx.export(
            servable.eval(),
            (example,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[LOGITS_NAME, FEATURES_NAME],
            dynamic_axes={name: {0: BATCH_AXIS} for name in (INPUT_NAME, LOGITS_NAME, FEATURES_NAME)},
        )
        model = onnx.load_model(file)
    model.ir_version = IR_VERSION
    _declare_shapes(model, servable(example))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _declare_shapes(model: onnx.ModelProto, outputs: tuple[Tensor, Tensor]) -> None:
    """Write the outputs' sizes into the graph: the tracer loses them behind the resize."""
    for declared, output in zip(model.graph.output, outputs, strict=True):
        for axis, size in list(zip(declared.type.tensor_type.shape.dim, output.shape, strict=True))[1:]:
            axis.dim_value = size


def output_shape(graph: bytes, name: str) -> list[int]:
    """Give an output's shape without the batch axis, as the graph declares it.

    Raises:
        TrainingError: an axis other than the batch is not fixed.
    """
    outputs = {output.name: output for output in onnx.load_model_from_string(graph).graph.output}
    sizes = [axis.dim_value for axis in outputs[name].type.tensor_type.shape.dim][1:]
    if not sizes or not all(sizes):
        raise TrainingError(f"the graph's output {name} has no fixed shape: {sizes}")
    return sizes


def run_torch(servable: nn.Module, crops: Crops) -> Logits:
    """Give the logits of uint8 crops [n, 112, 112, 3] as torch computes them, float32 [n, K]."""
    servable.eval()
    with torch.no_grad():
        parts = [servable(part)[0] for part in torch.from_numpy(crops).split(MAX_BATCH)]  # type: ignore[no-untyped-call]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def run_folder(folder: Path, crops: Crops, *, threads: int = 1) -> Logits:
    """Give the logits of uint8 crops [n, 112, 112, 3] as a model folder serves them, float32 [n, K].

    Raises:
        TrainingError: the folder's graph is missing, broken or not of the tensor contract.
    """
    try:
        return asyncio.run(_run_folder(folder.resolve(), crops, threads))
    except FerError as err:
        raise TrainingError(f"{folder} cannot be run: {err.detail}") from err


async def _run_folder(folder: Path, crops: Crops, threads: int) -> Logits:
    backend = OnnxRuntimeBackend(folder.parent, threads=1, intra_op_threads=threads)
    parts = []
    try:
        for start in tqdm(range(0, len(crops), MAX_BATCH), desc=folder.name, unit="batch", leave=False):
            faces = {INPUT_NAME: crops[start : start + MAX_BATCH]}
            answer = await backend.infer(folder.name, faces, [LOGITS_NAME], timeout_s=TIMEOUT_S)
            parts.append(answer[LOGITS_NAME])
    finally:
        await backend.close()
    return np.concatenate(parts)

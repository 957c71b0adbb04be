"""Run a network in torch, or the graph of a model folder.

Serving's own in-process backend runs the graphs, so that what is measured is what is served.
"""

import asyncio
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn
from tqdm import tqdm

from fercore.contracts.card import INPUT_NAME, LOGITS_NAME
from fercore.contracts.errors import FerError
from fercore.inference.backend import MAX_BATCH
from fercore.inference.onnxruntime import OnnxRuntimeBackend
from training.errors import TrainingError

TIMEOUT_S = 60.0
Crops = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]


def read_output_shape(graph: bytes, name: str) -> list[int]:
    """Return an output's shape without the batch axis, as the graph declares it.

    Raises:
        TrainingError: an axis other than the batch is not fixed.
    """
    outputs = {output.name: output for output in onnx.load_model_from_string(graph).graph.output}
    sizes = [axis.dim_value for axis in outputs[name].type.tensor_type.shape.dim][1:]
    if not sizes or not all(sizes):
        raise TrainingError(f"the graph's output {name} has no fixed shape: {sizes}")
    return sizes


def run_torch(servable: nn.Module, crops: Crops) -> Logits:
    """Return the logits of uint8 crops [n, 112, 112, 3] as torch computes them, float32 [n, K]."""
    servable.eval()
    with torch.no_grad():
        parts = [servable(part)[0] for part in torch.from_numpy(crops).split(MAX_BATCH)]  # type: ignore[no-untyped-call]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def run_folder(folder: Path, crops: Crops, *, threads: int = 1) -> Logits:
    """Return the logits of uint8 crops [n, 112, 112, 3] as a model folder serves them, float32 [n, K].

    Raises:
        TrainingError: the folder's graph is missing, broken or not of the tensor contract.
    """
    try:
        return asyncio.run(_run_folder(folder.resolve(), crops, threads))
    except FerError as err:
        raise TrainingError(f"{folder} cannot be run: {err.detail}") from err


def run_file(file: Path, crops: Crops, *, threads: int = 1) -> Logits:
    """Return the logits of an ONNX file as `run_folder` does of a folder that holds it; raises as it does."""
    with tempfile.TemporaryDirectory() as repository:
        folder = Path(repository) / file.stem
        (folder / "1").mkdir(parents=True)
        (folder / "1" / "model.onnx").symlink_to(file.resolve())
        return run_folder(folder, crops, threads=threads)


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

"""One network on tiny random faces: what every architecture is put through."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fercore.contracts.card import FEATURES_NAME, INPUT_NAME, LOGITS_NAME
from fercore.inference.onnxruntime import OnnxRuntimeBackend
from training.config import ArchitectureConfig, PreprocessingConfig
from training.networks.build import Servable, build_network
from training.networks.preprocessing import Preprocessing

CLASSES = 7


@dataclass(frozen=True)
class Case:
    """A network, and the preprocessing before it."""

    architecture: str
    options: dict[str, object] = field(default_factory=dict)
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)

    def servable(self) -> Servable:
        torch.manual_seed(5)
        network = build_network(ArchitectureConfig(name=self.architecture, options=self.options), CLASSES)
        return Servable(Preprocessing(self.preprocessing), network)


def random_crops(rows: int, seed: int = 1) -> np.ndarray:
    """Return coarse random patterns: to the deep layers of a fresh network all fine noise is the same."""
    coarse = np.random.default_rng(seed).integers(0, 256, (rows, 14, 14, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def train_one_step(servable: Servable) -> dict[str, Tensor]:
    """Train one step on eight faces, which set the batch statistics; return the gradients."""
    for module in servable.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0  # fresh statistics let the deepest networks' values explode
    servable.train()
    optimizer = torch.optim.SGD(servable.parameters(), lr=1e-3)
    logits, _ = servable(torch.from_numpy(random_crops(8, seed=2)))
    nn.functional.cross_entropy(logits, torch.arange(8) % CLASSES).backward()
    optimizer.step()
    return {name: p.grad for name, p in servable.named_parameters() if p.grad is not None}


def assert_alike(served: np.ndarray, expected: np.ndarray) -> None:
    """Assert that logits differ from torch's by at most 1e-4, relative where they are larger than 1."""
    np.testing.assert_allclose(served, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())), rtol=0)


def serve(graph: bytes, crops: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and features as serving's backend computes them."""
    file = folder / "emotion_case" / "1" / "model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(graph)

    async def ask() -> tuple[np.ndarray, np.ndarray]:
        backend = OnnxRuntimeBackend(folder, threads=1)
        try:
            wanted = [LOGITS_NAME, FEATURES_NAME]
            answer = await backend.infer("emotion_case", {INPUT_NAME: crops}, wanted, timeout_s=60)
        finally:
            await backend.close()
        return answer[LOGITS_NAME], answer[FEATURES_NAME]

    return asyncio.run(ask())

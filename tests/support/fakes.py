"""Stand-ins that fill the project's own seams: a backend and a detector whose answers a test chooses."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from fercore.contracts.card import INPUT_NAME, LOGITS_NAME, DataSource, Metric, ModelCard, QualityBounds
from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.contracts.messages import FaceQuality
from fercore.inference.backend import Tensor
from fercore.inference.repository import ModelFolder
from fercore.vision.crop import Framing, RgbImage
from fercore.vision.detection import Detections

QUALITY = FaceQuality(size_px=100, blur=0.3, brightness=0.5, contrast=0.2, clipped=0, pose=None)
"""Of a face that is well seen."""

DEFAULT_BOUNDS = QualityBounds()
"""Of a card that brings none."""


def model_folder(
    name: str,
    *,
    uncertain_below: float = 0.5,
    quality_bounds: QualityBounds = DEFAULT_BOUNDS,
    labels: tuple[Emotion, ...] = EMOTIONS,
    training_shares: dict[Emotion, float] | None = None,
) -> ModelFolder:
    """A model without files."""
    card = ModelCard(
        name=name,
        version="1",
        description="a fake",
        architecture="none",
        labels=labels,
        data=(DataSource(name="none", terms="none", rows=1),),
        metrics=(Metric(name="accuracy", value=1, measured_on="nothing", command="none", date="2026-11-21"),),
        temperature=1,
        uncertain_below=uncertain_below,
        quality_bounds=quality_bounds,
        training_shares=training_shares,
        opset=17,
        sha256="0" * 64,
        features_output=False,
        training_config={},
        training_config_sha256="0" * 64,
    )
    return ModelFolder(name, f"emotion_{name}", Path("nowhere"), card)


class BrightnessBackend:
    """Says of a face with mean value 10 * k that it shows emotion k; faults are raised in their order."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.batches: list[tuple[str, int]] = []

    async def infer(
        self, model: str, inputs: Mapping[str, Tensor], outputs: Sequence[str], *, timeout_s: float
    ) -> dict[str, Tensor]:
        faces = inputs[INPUT_NAME]
        self.batches.append((model, len(faces)))
        if self.faults:
            raise self.faults.pop(0)
        emotions = faces.reshape(len(faces), -1).mean(axis=1).astype(int) // 10
        return {LOGITS_NAME: np.eye(len(EMOTIONS), dtype=np.float32)[emotions] * 10}

    async def is_ready(self, model: str) -> bool:
        return True

    async def close(self) -> None:
        """Nothing is held."""


class FixedDetector:
    """Finds what it is told."""

    framing = Framing(1, 0, 0)

    def __init__(self, find: Callable[[RgbImage], Detections]) -> None:
        self._find = find

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:
        return self._find(image)


def plugin_package(folder: Path, name: str, **modules: str) -> ModuleType:
    """Make a package of plug-in files; the caller has put `folder` on `sys.path`."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    for module, source in modules.items():
        (package / f"{module}.py").write_text(source)
    return __import__(name)

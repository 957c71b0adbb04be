"""Settings of the detector service."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from fercore.contracts.api import PluginName
from fercore.contracts.defaults import DEFAULT_DETECTOR
from fercore.plugins import plugin_names
from fercore.service.settings import ImageLimits, QueueSettings
from fercore.vision.detection import DETECT_SIZE_PX
from fercore.vision.letterbox import LARGEST_SIDE_PX
from services.detector import detectors


class DetectorSettings(QueueSettings, ImageLimits):
    """All that can be set, each by `FER_<NAME>`."""

    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on")] = 8081
    detector: Annotated[PluginName, Field(description="The default detector, loaded at start")] = (
        DEFAULT_DETECTOR
    )
    model_repository: Annotated[Path, Field(description="Where detectors find their weights")] = Path(
        "model_repository"
    )
    detect_size_px: Annotated[
        int,
        Field(
            ge=64,
            le=LARGEST_SIDE_PX,
            description="Longer side of what a detector is shown; larger is averaged down",
        ),
    ] = DETECT_SIZE_PX
    detect_timeout_s: Annotated[
        float, Field(gt=0, le=60, description="Seconds until `POST /detect` is answered")
    ] = 5.0
    threads: Annotated[int, Field(ge=1, le=256, description="Images worked on at once")] = os.cpu_count() or 1

    @field_validator("detector")
    @classmethod
    def _check_detector(cls, name: str) -> str:
        names = plugin_names(detectors)
        if name not in names:
            raise ValueError(f"must be one of: {', '.join(names)}")
        return name

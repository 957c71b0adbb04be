"""Settings of the detector service."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fercore.service.settings import ImageLimits, QueueSettings


class DetectorSettings(QueueSettings, ImageLimits):
    """All that can be set, each by `FER_<NAME>`."""

    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on")] = 8081
    detector: Annotated[
        str, Field(pattern=r"^[a-z0-9_]+$", description="The default detector, loaded at start")
    ] = "haar"
    model_repository: Annotated[Path, Field(description="Where detectors find their weights")] = Path(
        "model_repository"
    )
    threads: Annotated[int, Field(ge=1, le=256, description="Pictures worked on at once")] = (
        os.cpu_count() or 1
    )

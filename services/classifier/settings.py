"""Settings of the classifier service."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fercore.contracts.api import PluginName
from fercore.contracts.defaults import DEFAULT_MODEL
from fercore.service.settings import ImageLimits, QueueSettings


class ClassifierSettings(QueueSettings, ImageLimits):
    """All that can be set, each by `FER_<NAME>`."""

    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on")] = 8082
    model: Annotated[PluginName, Field(description="The default emotion model")] = DEFAULT_MODEL
    model_repository: Annotated[
        Path, Field(description="The folder whose `emotion_*` are the models; Triton serves the same one")
    ] = Path("model_repository")
    backend: Annotated[Literal["triton", "onnxruntime"], Field(description="What runs the models")] = "triton"
    triton_address: Annotated[str, Field(description="host:port of Triton's gRPC")] = "127.0.0.1:8001"
    infer_timeout_s: Annotated[float, Field(gt=0, le=60, description="Longest wait for one inference")] = 5.0
    max_batch_frames: Annotated[
        int, Field(ge=1, le=256, description="Frames whose faces may share one inference call")
    ] = 16
    threads: Annotated[
        int, Field(ge=1, le=256, description="Decodings, and in-process inferences, at once")
    ] = os.cpu_count() or 1

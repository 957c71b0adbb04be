"""Settings of the process that is everything: those of the three services, fewer of them."""

from typing import Annotated, Literal

from pydantic import Field

from services.classifier.settings import ClassifierSettings
from services.detector.settings import DetectorSettings
from services.gateway.settings import GatewaySettings


class AllInOneSettings(GatewaySettings, DetectorSettings, ClassifierSettings):
    """All that can be set, each by `FER_<NAME>`; `FER_REDIS_URL` and `FER_STATE_URL` play no part."""

    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on")] = 8080
    backend: Annotated[Literal["triton", "onnxruntime"], Field(description="What runs the models")] = (
        "onnxruntime"
    )

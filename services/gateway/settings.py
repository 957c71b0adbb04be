"""Settings of the gateway."""

from typing import Annotated

from pydantic import Field

from fercore.contracts.api import PluginName
from fercore.contracts.defaults import DEFAULT_DETECTOR, DEFAULT_MODEL
from fercore.contracts.prior import TRAINING, PriorText
from fercore.service.settings import QueueSettings
from services.gateway.alerts.settings import AlertSettings
from services.gateway.live.settings import LiveSettings
from services.gateway.recordings.settings import RecordingSettings


class GatewaySettings(QueueSettings, LiveSettings, RecordingSettings, AlertSettings):
    """All that can be set, each by `FER_<NAME>`."""

    detector: Annotated[PluginName, Field(description="The detector when a caller names none")] = (
        DEFAULT_DETECTOR
    )
    model: Annotated[PluginName, Field(description="The emotion model when a caller names none")] = (
        DEFAULT_MODEL
    )
    prior: Annotated[
        PriorText, Field(description="The mix of expressions to expect when a caller states none")
    ] = TRAINING
    predict_deadline_s: Annotated[
        float,
        Field(gt=0, le=60, description="Deadline of `POST /predict` in seconds; then the answer is 504"),
    ] = 5.0

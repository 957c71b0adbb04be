"""The client of a fer-cluster: `Client`, `AsyncClient`, their streams, `python -m ferclient`."""

from ferclient.blocking import BlockingStream, Client
from ferclient.client import AsyncClient, Outcome
from ferclient.errors import ClientError, Refused, StreamClosed, Unreachable, UnreadableAnswer
from ferclient.events import Event, FrameDropped, FrameFailed, FrameResult, Reconnected
from ferclient.stream import Stream
from fercore.contracts.api import Face, Prediction, PredictOptions, Prior
from fercore.contracts.live import Alert, AlertRule, LiveFace, StreamOptions, StreamStats, Trend

__all__ = [
    "Alert",
    "AlertRule",
    "AsyncClient",
    "BlockingStream",
    "Client",
    "ClientError",
    "Event",
    "Face",
    "FrameDropped",
    "FrameFailed",
    "FrameResult",
    "LiveFace",
    "Outcome",
    "PredictOptions",
    "Prediction",
    "Prior",
    "Reconnected",
    "Refused",
    "Stream",
    "StreamClosed",
    "StreamOptions",
    "StreamStats",
    "Trend",
    "Unreachable",
    "UnreadableAnswer",
]

"""What a stream yields to its caller; alerts and the final stats come as the server's own bodies.

A frame is what the caller gave beside the image: a number, a path, the image itself.
"""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from fercore.contracts.live import Alert, StreamResult, StreamStats

Frame = TypeVar("Frame")


@dataclass(frozen=True, slots=True)
class FrameResult(Generic[Frame]):
    """The faces of one frame."""

    frame: Frame
    result: StreamResult


@dataclass(frozen=True, slots=True)
class FrameDropped(Generic[Frame]):
    """The server left a frame out, because a newer one had come."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class FrameFailed(Generic[Frame]):
    """A frame could not be analysed.

    Attributes:
        code: of the server, or `connection_lost` or `unreadable_answer`.
        request_id: what the server's log calls it; None when it never answered.
    """

    frame: Frame
    code: str
    detail: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The server went away and is back: a new session, in which face ids start anew.

    Attributes:
        close_code: how it went away (RFC 6455; 1006: without a close frame).
        session_id: of the new session, if it is recorded.
        away_s: seconds.
    """

    close_code: int
    session_id: str | None
    away_s: float


Event: TypeAlias = (
    FrameResult[Frame] | FrameDropped[Frame] | FrameFailed[Frame] | Reconnected | Alert | StreamStats
)

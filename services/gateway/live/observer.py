"""The seam between a live stream and its observer, and what is observed in each frame.

Knows no store, no pixels and no message; `services.gateway.recordings` fills it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fercore.contracts.emotions import Emotion
from fercore.contracts.live import Alert, StreamOptions


@dataclass(frozen=True, slots=True)
class ObservedFace:
    """One followed face.

    Attributes:
        face_id: of the stream.
        emotion: the smoothed one, that the client is shown.
        probabilities: of this frame alone; sum 1.
    """

    face_id: int
    emotion: Emotion
    probabilities: Mapping[Emotion, float]


@dataclass(frozen=True, slots=True)
class Observation:
    """One analysed frame; no face is an empty tuple.

    Attributes:
        at_s: monotonic seconds, never those of a wall clock.
    """

    at_s: float
    faces: tuple[ObservedFace, ...]


class StreamObserver(Protocol):
    """Observes one live stream; made for it alone."""

    async def begin(self, options: StreamOptions) -> str | None:
        """Start; called once before the first observation, again only if it raised.

        Returns:
            The session id if the client asked for a recording, otherwise None.

        Raises:
            FerError: what the client asked for cannot be had.
        """
        ...

    def observe(self, observation: Observation) -> Sequence[Alert]:
        """Take what was seen in the next frame and return the alerts that it caused; never raises."""
        ...

    async def end(self) -> None:
        """Write what is left; called once however the stream ended, begun or not; never raises."""
        ...


MakeObserver = Callable[[], StreamObserver]

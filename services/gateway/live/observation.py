"""What a live session saw in one frame, for those who remember it (`services.gateway.recordings`).

Knows no pixels and no message.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fercore.contracts.emotions import Emotion


@dataclass(frozen=True, slots=True)
class ObservedFace:
    """One followed face.

    Attributes:
        face_id: of the session.
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

"""Turn the faces of one frame into faces that are followed: an id and a smoothed label for each.

Knows no stream. A label is smoothed by a rolling mean of the face's last frames, and slow to change.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fercore.contracts.api import Face
from fercore.contracts.emotions import Emotion
from fercore.contracts.live import LiveFace, Smoothed
from services.gateway.live.tracking import FaceTracker

MARGIN = 0.05
"""Another emotion must lead by so much before the label changes.

Reasoned: a single frame that swings by a quarter moves a mean of five by as much.
"""

_DIGITS = 6


@dataclass(slots=True)
class _History:
    """A face's last frames, and what it was last called."""

    frames: deque[Mapping[Emotion, float]]
    emotion: Emotion | None = None


class FaceFollower:
    """The faces of one stream, frame after frame in their order.

    Args:
        smoothing: frames of a face that are averaged.
    """

    def __init__(self, smoothing: int) -> None:
        self._tracker = FaceTracker()
        self._smoothing = Smoothing(smoothing)

    def follow(self, faces: Sequence[Face], at_s: float) -> list[LiveFace]:
        """Return the same faces in the same order, each with its id and its smoothed label."""
        face_ids = self._tracker.follow([face.box for face in faces], at_s)
        self._smoothing.keep_only(self._tracker.face_ids)
        return [
            LiveFace(
                **dict(face),
                face_id=face_id,
                smoothed=self._smoothing.smooth(face_id, face.probabilities),
            )
            for face, face_id in zip(faces, face_ids, strict=True)
        ]


class Smoothing:
    """The rolling means of one stream.

    Args:
        frames: how many of a face are averaged; 1 is off: each frame speaks for itself.
    """

    def __init__(self, frames: int) -> None:
        self._n_frames = frames
        self._margin = MARGIN if frames > 1 else 0.0
        self._faces: dict[int, _History] = {}

    def smooth(self, face_id: int, probabilities: Mapping[Emotion, float]) -> Smoothed:
        """Add a frame's probabilities (not empty, sum 1) and return the face's mean."""
        history = self._faces.setdefault(face_id, _History(deque(maxlen=self._n_frames)))
        if history.frames and history.frames[-1].keys() != probabilities.keys():
            history.frames.clear()  # another version of the model knows other emotions
            history.emotion = None
        history.frames.append(probabilities)
        n_frames = len(history.frames)
        means = {
            emotion: sum(frame[emotion] for frame in history.frames) / n_frames for emotion in probabilities
        }
        leader = max(means, key=means.__getitem__)
        if history.emotion is None or means[leader] > means[history.emotion] + self._margin:
            history.emotion = leader
        return Smoothed(
            emotion=history.emotion,
            score=round(means[history.emotion], _DIGITS),
            probabilities={emotion: round(mean, _DIGITS) for emotion, mean in means.items()},
        )

    def keep_only(self, face_ids: Collection[int]) -> None:
        """Forget all other faces."""
        for face_id in self._faces.keys() - set(face_ids):
            del self._faces[face_id]

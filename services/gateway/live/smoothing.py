"""Keep a face's label from flickering: a rolling mean of its last frames, and a label slow to change.

Knows probabilities and face ids, no boxes and no session.
"""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fercore.contracts.emotions import Emotion
from fercore.contracts.live import Smoothed

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


class Smoothing:
    """The rolling means of one session.

    Args:
        frames: how many of a face are averaged; 1 is off: each frame speaks for itself.
    """

    def __init__(self, frames: int) -> None:
        self._n_frames = frames
        self._margin = MARGIN if frames > 1 else 0.0
        self._faces: dict[int, _History] = {}

    def smooth(self, face_id: int, probabilities: Mapping[Emotion, float]) -> Smoothed:
        """Add a frame's probabilities (not empty, sum 1) and give the face's mean."""
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

"""Turn the faces of one frame into faces that are followed: an id and a smoothed label for each.

Knows tracking and smoothing, no session.
"""

from collections.abc import Sequence

from fercore.contracts.api import Face
from fercore.contracts.live import LiveFace
from services.gateway.live.smoothing import Smoothing
from services.gateway.live.tracking import FaceTracker


class Following:
    """The faces of one session, frame after frame in their order.

    Args:
        smoothing: frames of a face that are averaged.
    """

    def __init__(self, smoothing: int) -> None:
        self._tracker = FaceTracker()
        self._smoothing = Smoothing(smoothing)

    def follow(self, faces: Sequence[Face], at_s: float) -> list[LiveFace]:
        """Give the same faces in the same order, each with its id and its smoothed label."""
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

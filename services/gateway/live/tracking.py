"""Follow faces from frame to frame by their boxes alone: overlap, and motion at a constant velocity.

Knows no pixels, no emotions and no stream. After SORT (Bewley et al., 2016, arXiv:1602.00763): greedy
instead of optimal assignment, a plain velocity instead of a Kalman filter, and a memory of a second.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fercore.contracts.api import Box

MEMORY_S = 1.0
"""A face that was not seen for longer is forgotten; one that comes back later gets a new id."""

MIN_OVERLAP = 0.3
"""Intersection over union below which two boxes are not the same face (SORT's own bound)."""

MAX_TRACKS = 512
"""Twice what one frame can hold; scenes that change with every frame must not fill the memory."""

_VELOCITY_S = 0.3
"""Time over which the velocity is averaged: a detector's jitter is no motion."""

_STOPPED = 0.8
"""Worth of an overlap with where a face was, against one with where it should be by now."""

_ABSENCE_COST = 0.5
"""Overlap that a second of absence costs: behind another face, the one that is still seen keeps its id."""

_Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Track:
    """A face as last seen; its velocity is in pixels a second."""

    face_id: int
    corners: _Corners
    seen_at_s: float
    velocity: tuple[float, float] = (0.0, 0.0)

    def predicted(self, at_s: float) -> _Corners:
        """Return the box where it would be had it gone on as before."""
        elapsed_s = at_s - self.seen_at_s
        dx, dy = self.velocity[0] * elapsed_s, self.velocity[1] * elapsed_s
        x1, y1, x2, y2 = self.corners
        return x1 + dx, y1 + dy, x2 + dx, y2 + dy

    def seen(self, corners: _Corners, at_s: float) -> "_Track":
        """Return the track after one more sight."""
        elapsed_s = max(at_s - self.seen_at_s, 1e-3)
        share = elapsed_s / (elapsed_s + _VELOCITY_S)
        (old_x, old_y), (x, y) = _centre(self.corners), _centre(corners)
        velocity = (
            self.velocity[0] + share * ((x - old_x) / elapsed_s - self.velocity[0]),
            self.velocity[1] + share * ((y - old_y) / elapsed_s - self.velocity[1]),
        )
        return _Track(self.face_id, corners, at_s, velocity)


class FaceTracker:
    """The faces of one stream; ids start at 1 and are never used twice."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._numbers = itertools.count(1)

    @property
    def face_ids(self) -> set[int]:
        """The faces that are remembered."""
        return {track.face_id for track in self._tracks}

    def follow(self, boxes: Sequence[Box], at_s: float) -> list[int]:
        """Return the id of each box of the next frame.

        Args:
            boxes: in pixels, in any order; all frames have the same coordinates.
            at_s: monotonic seconds, not before those of the last frame.
        """
        remembered = [track for track in self._tracks if at_s - track.seen_at_s <= MEMORY_S]
        found = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, track_index, box_index in sorted(_likely(remembered, found, at_s), reverse=True):
            track = remembered[track_index]
            if track.face_id not in taken and box_index not in matched:
                taken.add(track.face_id)
                matched[box_index] = track.seen(found[box_index], at_s)
        seen = [
            matched.get(index) or _Track(next(self._numbers), corners, at_s)
            for index, corners in enumerate(found)
        ]
        unseen = [track for track in remembered if track.face_id not in taken]
        self._tracks = [*unseen, *seen][-MAX_TRACKS:]
        return [track.face_id for track in seen]


def _likely(
    tracks: Sequence[_Track], found: Sequence[_Corners], at_s: float
) -> Iterator[tuple[float, int, int]]:
    """Return likeness, track and box of all pairs that may be the same face.

    A face should have gone on as before, and may have stopped (or turned back at the image's edge).
    """
    for track_index, track in enumerate(tracks):
        gone_on, stopped = track.predicted(at_s), track.corners
        for box_index, corners in enumerate(found):
            ahead, behind = _overlap(gone_on, corners), _overlap(stopped, corners)
            if max(ahead, behind) >= MIN_OVERLAP:
                absence_cost = _ABSENCE_COST * (at_s - track.seen_at_s)
                yield max(ahead, _STOPPED * behind) - absence_cost, track_index, box_index


def _overlap(one: _Corners, other: _Corners) -> float:
    """Return the intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    if width <= 0:
        return 0.0
    height = min(one[3], other[3]) - max(one[1], other[1])
    if height <= 0:
        return 0.0
    shared = width * height
    together = _area(one) + _area(other) - shared
    return shared / together if together > 0 else 0.0


def _area(corners: _Corners) -> float:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


def _centre(corners: _Corners) -> tuple[float, float]:
    return (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2

"""Watches one rule in one live stream.

Knows no clock and no faces but their emotions: counts by the second, forgets what is older than the window.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from fercore.contracts.emotions import Emotion
from fercore.contracts.live import AlertRule

SHORTEST_SILENCE_S = 1.0
"""The window is counted in seconds, so a rule speaks once a second at most."""


@dataclass(slots=True)
class _Second:
    number: int
    faces: int = 0
    hits: int = 0


class Watch:
    """What a rule has seen within its window, and the rest of the second in which that begins."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self._emotions = frozenset(rule.emotions)
        self._width = math.ceil(rule.window_s)
        self._window: deque[_Second] = deque()
        self._faces = 0
        self._hits = 0
        self._silent_until_s = 0.0

    def see(self, at_s: float, emotions: Sequence[Emotion]) -> float | None:
        """Take one frame into account.

        Args:
            at_s: seconds since the stream's start, never less than the last time.
            emotions: of all faces in the frame, as the client is shown them.

        Returns:
            The share that was reached if the rule fires, otherwise None.
        """
        self._count(int(at_s), emotions)
        if at_s < self.rule.window_s or at_s < self._silent_until_s or self._faces < self.rule.min_faces:
            return None
        share = self._hits / self._faces
        if share < self.rule.share:
            return None
        self._silent_until_s = at_s + max(self.rule.cooldown_s, SHORTEST_SILENCE_S)
        return share

    def _count(self, second: int, emotions: Sequence[Emotion]) -> None:
        while self._window and self._window[0].number < second - self._width:
            old = self._window.popleft()
            self._faces -= old.faces
            self._hits -= old.hits
        if not emotions:
            return
        if not self._window or self._window[-1].number != second:
            self._window.append(_Second(second))
        hits = sum(emotion in self._emotions for emotion in emotions)
        self._window[-1].faces += len(emotions)
        self._window[-1].hits += hits
        self._faces += len(emotions)
        self._hits += hits

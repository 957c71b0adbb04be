"""The broker's clock, mapped onto this process's monotonic clock.

It is told when a reading was asked for, what it said, and when it came.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from fercore.contracts.errors import UpstreamUnavailable

REFRESH_EVERY_MS = 2000.0
_DRIFT = 500e-6
"""How fast two clocks may run apart: the most that NTP slews."""


def monotonic_ms() -> float:
    """Return the local monotonic clock in milliseconds."""
    return time.monotonic() * 1000


@dataclass(frozen=True, slots=True)
class _Reading:
    offset_ms: float
    error_ms: float
    taken_ms: float

    def error_at(self, local_ms: float) -> float:
        return self.error_ms + _DRIFT * (local_ms - self.taken_ms)


class BrokerClock:
    """Estimates the broker's time; the reading with the shortest round trip is trusted longest."""

    def __init__(self, local_ms: Callable[[], float] = monotonic_ms) -> None:
        self.local_ms = local_ms
        self._best: _Reading | None = None
        self._due_ms = float("-inf")

    @property
    def is_set(self) -> bool:
        """Whether there was a reading at all."""
        return self._best is not None

    def claim_reading(self) -> bool:
        """Return whether the caller is to take a reading: one of many at a time, or all at first."""
        local_ms = self.local_ms()
        if self._best is not None and local_ms < self._due_ms:
            return False
        self._due_ms = local_ms + REFRESH_EVERY_MS
        return True

    def set(self, *, asked_ms: float, broker_ms: float, answered_ms: float) -> None:
        """Take a reading into account.

        Args:
            asked_ms: the local clock before the question.
            broker_ms: the answer; taken to be from half way between the two.
            answered_ms: the local clock after the answer.
        """
        middle_ms = (asked_ms + answered_ms) / 2
        new = _Reading(broker_ms - middle_ms, (answered_ms - asked_ms) / 2, answered_ms)
        best = self._best
        if best is None:
            self._best = new
            return
        allowed_ms = best.error_at(answered_ms) + new.error_ms
        was_stepped = abs(new.offset_ms - best.offset_ms) > allowed_ms
        if was_stepped or new.error_ms <= best.error_at(answered_ms):
            self._best = new

    def now_ms(self) -> float:
        """Return the broker's time.

        Raises:
            UpstreamUnavailable: there was no reading yet.
        """
        if self._best is None:
            raise UpstreamUnavailable("the broker has not been reached yet")
        return self.local_ms() + self._best.offset_ms

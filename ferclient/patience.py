"""How long to wait before the next try, and when to give up."""

import random
import time
from collections.abc import Callable

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0


class Patience:
    """One row of tries: each wait is longer than the last and random, and all together are bounded.

    Args:
        total_s: from now; 0 allows one try only.
        now: monotonic seconds.
        chance: returns a number from 0 to 1, so that many clients do not come back at once.
    """

    def __init__(
        self,
        total_s: float,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._now = now
        self._chance = chance
        self._over_at = now() + total_s
        self._tries = 0

    def next_wait_s(self, at_least_s: float = 0.0) -> float | None:
        """Return the seconds to the next try, or None when they would end too late.

        Args:
            at_least_s: what the server asked for (`Retry-After`).
        """
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._tries)
        self._tries += 1
        wait_s = at_least_s + longest * (0.5 + 0.5 * self._chance())
        return wait_s if self._now() + wait_s <= self._over_at else None

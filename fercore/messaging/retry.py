"""Call a broker that may be away: exponential backoff with jitter; an outage is two log lines."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fercore.contracts.errors import UpstreamUnavailable
from fercore.outage import Outage

FIRST_PAUSE_S = 0.05
MAX_PAUSE_S = 2.0

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Retry:
    """One worker's calls to its broker, each of which raises `UpstreamUnavailable` when it is away."""

    def __init__(self) -> None:
        self._outage = Outage(_log, away="broker is away", back="broker is back")

    async def once(self, call: Awaitable[_T]) -> _T | None:
        """Await a call; None when the broker is away."""
        try:
            result = await call
        except UpstreamUnavailable as fault:
            self._outage.begins(fault.detail)
            return None
        self._outage.ends()
        return result

    async def until_answered(
        self, call: Callable[[], Awaitable[_T]], *, as_long_as: Callable[[], bool]
    ) -> _T | None:
        """Call at least once, until the broker answers; None when that is no longer wanted."""
        pause_s = FIRST_PAUSE_S
        while (result := await self.once(call())) is None and as_long_as():
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
        return result

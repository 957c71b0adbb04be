"""Keep the metrics of each Redis up to date: ask it every few seconds, so that no scrape waits for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fercore.contracts.errors import UpstreamUnavailable
from fercore.outage import Outage
from fercore.redis.vitals import Vitals
from fercore.service.metrics import Metrics

READ_EVERY_S = 5.0

ReadVitals = Callable[[], Awaitable[Vitals]]
"""Raises `UpstreamUnavailable`, in bounded time, when there is no answer."""

logger = logging.getLogger(__name__)


async def watch_redis(
    redis: str, read: ReadVitals, metrics: Metrics, *, every_s: float = READ_EVERY_S
) -> None:
    """Read until cancelled; an outage and its end are logged once each.

    Args:
        redis: what it is for, `queue` or `state`.
        read: asks it.
        metrics: where the figures are reported.
        every_s: the pause after each answer.
    """
    outage = Outage(logger, away="a Redis is away", back="a Redis is back", redis=redis)
    while True:
        vitals: Vitals | None = None
        try:
            vitals = await read()
        except UpstreamUnavailable as fault:
            outage.begins(fault.detail)
        else:
            outage.ends()
        metrics.redis_changed(redis, vitals)
        await asyncio.sleep(every_s)

"""Parts of a gateway whose live streams are tested, and looks into it."""

import asyncio
import gc
from typing import TypeVar, get_args

import httpx

from fercore.contracts.errors import UpstreamUnavailable
from fercore.contracts.live import StreamOptions
from fercore.messaging.memory import InMemoryQueue
from fercore.service.metrics import Metrics, StreamOutcome
from services.gateway.live.observer import Observation
from tests.support.streaming import Server, result

Kind = TypeVar("Kind")


class FlakyQueue(InMemoryQueue):
    """An in-memory queue that can be away."""

    is_away = False

    def _check(self) -> None:
        if self.is_away:
            raise UpstreamUnavailable("the broker is away")

    async def publish(self, channel, envelope):
        self._check()
        await super().publish(channel, envelope)

    async def receive_replies(self, reply_to, *, wait_ms):
        self._check()
        return await super().receive_replies(reply_to, wait_ms=min(wait_ms, 20))


class Gate:
    """A worker that keeps frames until the test lets them go, by their place in the order of arrival."""

    def __init__(self) -> None:
        self.arrived = 0
        self._open: dict[int, asyncio.Event] = {}

    def _event(self, number: int) -> asyncio.Event:
        return self._open.setdefault(number, asyncio.Event())

    async def __call__(self, job):
        number, self.arrived = self.arrived, self.arrived + 1
        await self._event(number).wait()
        return result((100, 100, 80, 80))

    def let_go(self, *numbers: int) -> None:
        for number in numbers:
            self._event(number).set()


class NotingObserver:
    """An observer that notes what it is told."""

    def __init__(self, *, fault=None, alerts=()) -> None:
        self.fault, self.alerts = fault, alerts
        self.begun: list[StreamOptions] = []
        self.observed: list[Observation] = []
        self.ended = 0

    async def begin(self, options):
        if self.fault is not None:
            raise self.fault
        self.begun.append(options)
        return "ab" * 16 if options.record else None

    def observe(self, observation):
        self.observed.append(observation)
        return self.alerts

    async def end(self):
        self.ended += 1


async def until(condition) -> None:
    """Poll until something holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def until_ready(server: Server) -> None:
    """Poll until the gateway has seen the workers that the test plays."""
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=server.url) as client:
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


def frames_counted(metrics: Metrics) -> dict[str, float]:
    """Give the frames by outcome, zeros left out."""
    counted = {
        outcome: metrics.registry.get_sample_value("fer_stream_frames_total", {"outcome": outcome})
        for outcome in get_args(StreamOutcome)
    }
    return {outcome: value for outcome, value in counted.items() if value}


def gauge(metrics: Metrics, name: str) -> float | None:
    """Read a metric without labels."""
    return metrics.registry.get_sample_value(name)


def living(kind: type[Kind]) -> list[Kind]:
    """Give all objects of a kind that something still holds."""
    gc.collect()
    return [thing for thing in gc.get_objects() if isinstance(thing, kind)]

"""What the metrics tell of a Redis, and what the log says when it is away."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from fercore.contracts.errors import UpstreamUnavailable
from fercore.redis.vitals import Vitals
from fercore.service.metrics import Metrics
from fercore.service.vitals import watch_redis
from tests.support.consuming import until

pytestmark = pytest.mark.anyio

FIGURES = ("memory_bytes", "memory_limit_bytes", "clients")


class FakeRedis:
    """Says how it is, as often as it is asked."""

    def __init__(self) -> None:
        self.vitals = Vitals(memory_bytes=300, memory_limit_bytes=1000, clients=4)
        self.is_away = False
        self.asked = 0

    async def read(self) -> Vitals:
        self.asked += 1
        if self.is_away:
            raise UpstreamUnavailable("it does not answer")
        return self.vitals


def told(metrics: Metrics, figure: str, redis: str = "queue") -> float | None:
    return metrics.registry.get_sample_value(f"fer_redis_{figure}", {"redis": redis})


@asynccontextmanager
async def watching(metrics: Metrics, **redises: FakeRedis):
    async with asyncio.TaskGroup() as group:
        watches = [
            group.create_task(watch_redis(name, redis.read, metrics, every_s=0.001))
            for name, redis in redises.items()
        ]
        yield
        for watch in watches:
            watch.cancel()


async def asked_again(redis: FakeRedis) -> None:
    """Return when what it says now has been told."""
    before = redis.asked
    await until(lambda: redis.asked >= before + 2)


async def test_each_redis_is_told_apart_and_anew():
    metrics, queue, state = Metrics(), FakeRedis(), FakeRedis()
    async with watching(metrics, queue=queue, state=state):
        state.vitals = Vitals(memory_bytes=5, memory_limit_bytes=0, clients=1)
        await asked_again(state)
        assert [told(metrics, figure) for figure in ("up", *FIGURES)] == [1, 300, 1000, 4]
        assert [told(metrics, figure, "state") for figure in ("up", *FIGURES)] == [1, 5, 0, 1]


async def test_of_a_redis_that_is_away_old_figures_are_not_told_on():
    metrics, redis = Metrics(), FakeRedis()
    async with watching(metrics, queue=redis):
        await asked_again(redis)
        redis.is_away = True
        await asked_again(redis)
        assert told(metrics, "up") == 0
        assert [told(metrics, figure) for figure in FIGURES] == [None, None, None]
        redis.is_away = False
        await asked_again(redis)
        assert [told(metrics, figure) for figure in ("up", *FIGURES)] == [1, 300, 1000, 4]


async def test_an_outage_is_two_lines_of_the_log_however_long_it_lasts(caplog):
    redis = FakeRedis()
    redis.is_away = True
    async with watching(Metrics(), queue=redis):
        await until(lambda: redis.asked > 10)
        redis.is_away = False
        await until(lambda: redis.asked > 20)
    assert [record.getMessage() for record in caplog.records] == ["a Redis is away", "a Redis is back"]
    assert (caplog.records[0].redis, caplog.records[0].reason) == ("queue", "it does not answer")

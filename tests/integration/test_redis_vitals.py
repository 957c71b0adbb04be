"""How a real Redis is, as both of its users read it, and what a scrape costs while it hangs."""

import time
from contextlib import AsyncExitStack

import httpx
import pytest
from redis.asyncio import Redis

from fercore.messaging.redis_streams import RedisStreams
from fercore.service.metrics import Metrics
from fercore.state.redis import RedisState
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.support.consuming import until
from tests.support.streaming import serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("user", [RedisStreams, RedisState])
async def test_a_redis_says_how_full_it_is_and_how_many_use_it(own_redis_server, user):
    async with AsyncExitStack() as stack:
        client = Redis.from_url(own_redis_server.url)
        stack.push_async_callback(client.aclose)
        watched = user(own_redis_server.url, timeout_s=10)
        stack.push_async_callback(watched.close)
        at_first = await watched.vitals()
        assert at_first.memory_limit_bytes == 0
        await client.config_set("maxmemory", "64mb")
        await client.set("key", b"1" * 10_000_000)
        later = await watched.vitals()
        assert later.memory_limit_bytes == 64 * 2**20
        assert 10_000_000 < later.memory_bytes - at_first.memory_bytes < 40_000_000
        assert later.clients == at_first.clients + 1 == 2


@pytest.mark.parametrize("how", ["hangs", "is gone"])
async def test_a_scrape_waits_for_no_redis(own_redis_server, how):
    if how == "hangs":
        own_redis_server.pause()
    else:
        own_redis_server.stop()
    queue, store = RedisStreams(own_redis_server.url), RedisState(own_redis_server.url)
    settings, metrics = GatewaySettings(model="a"), Metrics()
    redises = {"queue": queue.vitals, "state": store.vitals}
    app = create_app(settings, queue=queue, metrics=metrics, store=store, redises=redises)

    def are_told_to_be_away() -> bool:
        up = [metrics.registry.get_sample_value("fer_redis_up", {"redis": redis}) for redis in redises]
        return up == [0, 0]

    async with serving(app, settings) as server, httpx.AsyncClient(base_url=server.url) as client:
        for _ in range(3):  # while the first reading still waits, if it hangs
            start_s = time.monotonic()
            assert (await client.get("/metrics")).status_code == 200
            assert time.monotonic() - start_s < 1
        await until(are_told_to_be_away)
        text = (await client.get("/metrics")).text
    assert 'fer_redis_up{redis="state"} 0.0' in text
    assert "fer_redis_memory_bytes{" not in text

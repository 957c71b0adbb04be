"""A live stream over a real Redis that goes away in the middle of it."""

import asyncio

import pytest

from fercore.messaging.redis_streams import RedisStreams
from fercore.service.metrics import Metrics
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.support.images import no_face_jpeg
from tests.support.live_gateway import until_ready
from tests.support.redis_server import RedisServer
from tests.support.streaming import assert_accounted, serving, streaming, working

pytestmark = pytest.mark.anyio

FRAME = no_face_jpeg()


async def test_frames_fail_while_redis_is_gone_and_the_stream_resumes(own_redis_server: RedisServer):
    settings = GatewaySettings(model="a", redis_url=own_redis_server.url, live_deadline_s=1)
    app = create_app(settings, queue=RedisStreams(own_redis_server.url), metrics=Metrics())
    workers = RedisStreams(own_redis_server.url)
    try:
        async with serving(app, settings) as server, streaming(server.url) as stream:
            async with working(workers):
                await until_ready(server)
                assert (await answered(stream))["faces"][0]["face_id"] == 1
            await asyncio.to_thread(own_redis_server.stop)
            assert (await answered(stream))["code"] in ("upstream_unavailable", "not_ready")
            await asyncio.to_thread(own_redis_server.start)
            async with working(workers), asyncio.timeout(20):
                while (answer := await answered(stream))["type"] != "result":
                    await asyncio.sleep(0.05)
                assert len(answer["faces"]) == 1
            (stats,) = await stream.stop()
            assert_accounted(stats)
            assert (stats["results"], stats["dropped"]) == (2, 0)
    finally:
        await workers.close()


async def answered(stream) -> dict:
    await stream.send(FRAME)
    return await stream.receive()

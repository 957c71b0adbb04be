"""`WS /stream` through a real uvicorn and a real client, on an in-memory queue whose workers the test plays."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from fercore.contracts.errors import InvalidImage
from fercore.contracts.messages import encode_error
from fercore.messaging.memory import InMemoryQueue
from fercore.service.metrics import Metrics
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.pictures import no_face_jpeg
from tests.streaming import Server, assert_accounted, one_face, result, serving, streaming, working

pytestmark = pytest.mark.anyio

FRAME = no_face_jpeg()


@pytest.fixture
def queue() -> InMemoryQueue:
    return InMemoryQueue()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def settings() -> GatewaySettings:
    return GatewaySettings(model="a", live_deadline_s=1)


@pytest.fixture
async def server(queue, settings, metrics) -> AsyncIterator[Server]:
    async with serving(create_app(settings, queue=queue, metrics=metrics), settings) as server:
        yield server


async def until_ready(server: Server) -> None:
    async with asyncio.timeout(10), httpx.AsyncClient(base_url=f"http://{server.address}") as client:
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


async def test_a_frame_is_answered_with_a_followed_face(server, queue):
    async with working(queue):
        await until_ready(server)
        async with streaming(server) as stream:
            await stream.send({"type": "start", "smoothing": 3}, FRAME)
            assert await stream.receive() == {"type": "started", "session_id": None}
            answer = await stream.receive()
            assert (answer["type"], answer["seq"]) == ("result", 0)
            (face,) = answer["faces"]
            assert face["face_id"] == 1
            assert face["smoothed"]["emotion"] == face["emotion"] == "happiness"
            assert answer["request_id"].endswith("-0")
            (stats,) = await stream.stop()
            assert stats == {"type": "stats", "received": 1, "results": 1, "dropped": 0, "errors": 0}

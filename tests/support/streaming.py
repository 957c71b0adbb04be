"""A gateway under a real uvicorn, workers that the test plays, and clients of its live streams."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from fercore.contracts.emotions import EMOTIONS
from fercore.contracts.messages import (
    ClassifierOffer,
    DetectorOffer,
    FaceEmotions,
    FoundFace,
    FrameJob,
    FrameResult,
    ModelOffer,
    Timings,
    decode_frame_job,
    encode,
)
from fercore.messaging.queue import FACES, FRAMES, Queue, ReceivedMessage
from fercore.service.run import server_config
from services.gateway.settings import GatewaySettings
from tests.support.consuming import settle
from tests.support.fakes import QUALITY

Answer = Callable[[FrameJob], Awaitable[FrameResult | bytes | None]]
"""What a worker makes of a frame: its result, the bytes of another reply, or nothing at all."""

TRAINED = dict(zip(map(str, EMOTIONS), (0.36, 0.27, 0.13, 0.11, 0.09, 0.01, 0.02, 0.01), strict=True))
"""The mix that the fake model was calibrated for."""

OFFERS = (
    (FRAMES.service, msgspec.json.encode(DetectorOffer(("ferface",)))),
    (
        FACES.service,
        msgspec.json.encode(
            ClassifierOffer(
                (
                    ModelOffer("a", "3", EMOTIONS, "a fake", TRAINED),
                    ModelOffer("old", "3", EMOTIONS, "states no shares"),
                    ModelOffer("two", "3", ("neutral", "happiness"), "", {"neutral": 0.5, "happiness": 0.5}),
                )
            )
        ),
    ),
)


def result(*faces: tuple[float, float, float, float], happiness: float = 0.9) -> FrameResult:
    """A frame in which these boxes are faces, all of them happy."""
    rest = (1 - happiness) / (len(EMOTIONS) - 1)
    probabilities = tuple(happiness if emotion == "happiness" else rest for emotion in EMOTIONS)
    return FrameResult(
        width=640,
        height=480,
        detector="ferface",
        model="a",
        model_version="3",
        labels=EMOTIONS,
        faces=tuple(FoundFace(box=box, landmarks=None, score=0.9, quality=QUALITY) for box in faces),
        emotions=tuple(FaceEmotions(probabilities=probabilities, is_score_low=False) for _ in faces),
        timings=Timings(queue_ms=1, decode_ms=1, detect_ms=1, align_ms=1),
    )


async def one_face(_: FrameJob) -> FrameResult:
    """Find a face in every frame, always at the same place."""
    return result((100, 100, 80, 80))


@asynccontextmanager
async def working(queue: Queue, answer: Answer = one_face) -> AsyncIterator[None]:
    """Play detector and classifier: every frame is answered in its own time, and all at once."""

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                for message in await queue.receive(FRAMES, "w", max_n=16, wait_ms=20):
                    group.create_task(reply(message))

    async def reply(message: ReceivedMessage) -> None:
        envelope = message.envelope
        made = await answer(decode_frame_job(envelope.body))
        body = encode(made) if isinstance(made, FrameResult) else made
        await settle(queue, message, reply=None if body is None else replace(envelope, body=body))

    async def announce() -> None:
        while True:
            for service, offer in OFFERS:
                await queue.heartbeat(service, "w", offer)
            await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(announce()), asyncio.create_task(work())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()


class Server:
    """A uvicorn that serves in this event loop, with the very configuration of the services."""

    def __init__(self, app: FastAPI, settings: GatewaySettings) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self.uvicorn = uvicorn.Server(server_config(app, settings, websockets=settings))
        self._task = asyncio.create_task(self.uvicorn.serve([self._listener]))

    async def stop(self) -> None:
        """End as a signal does."""
        self.uvicorn.should_exit = True
        await self._task


@asynccontextmanager
async def serving(app: FastAPI, settings: GatewaySettings) -> AsyncIterator[Server]:
    """Serve until the block ends."""
    server = Server(app, settings)
    try:
        async with asyncio.timeout(20):
            while not server.uvicorn.started:
                await asyncio.sleep(0.01)
        yield server
    finally:
        await server.stop()


class Stream:
    """A client; its messages are dicts."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: bytes | str | Mapping[str, object]) -> None:
        for message in messages:
            await self.connection.send(json.dumps(message) if isinstance(message, Mapping) else message)

    async def receive(self) -> dict:
        async with asyncio.timeout(20):
            return json.loads(await self.connection.recv())

    async def rest(self) -> list[dict]:
        """All that comes until the server closes."""
        messages = []
        async with asyncio.timeout(30):
            try:
                while True:
                    messages.append(json.loads(await self.connection.recv()))
            except ConnectionClosed:
                return messages

    async def stop(self) -> list[dict]:
        """Say stop, and give all that comes; the last are the stats, and they add up."""
        await self.send({"type": "stop"})
        messages = await self.rest()
        assert self.close_code == 1000
        assert_accounted(messages[-1])
        return messages

    @property
    def close_code(self) -> int | None:
        return self.connection.close_code


def assert_accounted(stats: dict) -> None:
    """Every frame was answered once."""
    assert stats["type"] == "stats"
    assert stats["received"] == stats["results"] + stats["dropped"] + stats["errors"]


@asynccontextmanager
async def streaming(url: str, path: str = "/stream", **options: Any) -> AsyncIterator[Stream]:
    """Open a stream at `http://...`."""
    address = url.removeprefix("http://")
    async with connect(f"ws://{address}{path}", compression=None, max_size=None, **options) as connection:
        yield Stream(connection)

"""While a cluster is updated, old and new processes refuse each other's messages cleanly.

The messages of version 2 stand here as its processes write them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from asgi_lifespan import LifespanManager

from fercore.contracts.messages import (
    CROP_BYTES,
    SCHEMA_VERSION,
    ClassifierOffer,
    DetectorOffer,
    ModelOffer,
    OtherVersionError,
    decode_reply,
    encode_error,
)
from fercore.messaging.consume import ConsumerOptions, consume
from fercore.messaging.handler import Dead, Handler
from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.queue import FACES, FRAMES, Channel, Envelope
from fercore.service.metrics import Metrics
from services.classifier.core import ClassifierCore
from services.classifier.handler import FaceHandler
from services.detector import detectors
from services.detector.core import DetectorCore
from services.detector.handler import FrameHandler
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.support.fakes import BrightnessBackend, model_folder
from tests.support.images import no_face_jpeg

pytestmark = pytest.mark.anyio

OLD = 2
OLD_JOB = {
    "schema_version": OLD,
    "image": no_face_jpeg(),
    "options": {"detector": "ferface", "max_faces": 32, "min_face_px": 24, "min_score": 0.5},
    "model": "a",
}
OLD_QUALITY = {
    "size_px": 100.0,
    "blur": 0.3,
    "brightness": 0.5,
    "contrast": 0.2,
    "clipped": 0.0,
    "pose": None,
    "is_low": False,
}
OLD_FACES = {
    "schema_version": OLD,
    "width": 320,
    "height": 240,
    "detector": "ferface",
    "model": "a",
    "faces": [{"box": [0, 0, 50, 50], "score": 1.0, "landmarks": None, "quality": OLD_QUALITY}],
    "crops": bytes(CROP_BYTES),
    "timings": {"queue_ms": 1.0, "decode_ms": 1.0, "detect_ms": 1.0, "align_ms": 1.0},
}
OLD_RESULT = {
    "type": "result",
    "schema_version": OLD,
    "width": 320,
    "height": 240,
    "detector": "ferface",
    "model": "a",
    "model_version": None,
    "labels": [],
    "faces": [],
    "emotions": [],
    "queue_ms": 1.0,
    "decode_ms": 1.0,
    "detect_ms": 1.0,
    "align_ms": 1.0,
    "infer_ms": 0.0,
}
OLD_ERROR = {
    "type": "error",
    "schema_version": OLD,
    "code": "internal",
    "detail": "an internal error occurred",
}


def frame_handler(queue: InMemoryQueue) -> FrameHandler:
    core = DetectorCore(detectors, model_repository=Path("nowhere"), threads=1, metrics=Metrics())
    return FrameHandler(core, queue.now_ms)


def face_handler(queue: InMemoryQueue) -> FaceHandler:
    core = ClassifierCore([model_folder("a")], backend=BrightnessBackend(), metrics=Metrics())
    return FaceHandler(core, queue.now_ms, infer_timeout_s=5)


@asynccontextmanager
async def working(
    queue: InMemoryQueue, channel: Channel, handle: Handler, offer: bytes = b"", encode_error=encode_error
) -> AsyncIterator[None]:
    """Run a worker's consume loop until the block ends."""
    options = ConsumerOptions(
        offer=lambda: offer, encode_error=encode_error, observer=Metrics(), max_batch=4, concurrency=1
    )
    task = asyncio.create_task(consume(queue, channel, handle, options))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize(
    ("channel", "body", "make_handler"), [(FRAMES, OLD_JOB, frame_handler), (FACES, OLD_FACES, face_handler)]
)
async def test_a_new_worker_refuses_an_old_message_in_the_old_form_before_its_deadline(
    channel: Channel, body: dict[str, object], make_handler: Callable[[InMemoryQueue], Handler]
):
    queue = InMemoryQueue()
    deadline_ms = queue.now_ms() + 20_000
    await queue.publish(channel, Envelope("r", "gateway", deadline_ms, msgspec.msgpack.encode(body)))
    async with working(queue, channel, make_handler(queue)):
        (reply,) = await queue.receive_replies("gateway", wait_ms=20_000)
        assert queue.now_ms() < deadline_ms
        assert (await queue.backlog(channel)).depth == 0
    read_by_an_old_gateway = msgspec.msgpack.decode(reply.body)
    assert read_by_an_old_gateway.pop("detail").endswith("try again")
    assert read_by_an_old_gateway == {"type": "error", "schema_version": OLD, "code": "not_ready"}
    assert queue.dead == []


async def bury_another_version(messages):
    """What a worker of version 2 does with a message of a later one."""
    versions = [msgspec.msgpack.decode(message.envelope.body)["schema_version"] for message in messages]
    assert versions == [SCHEMA_VERSION] * len(messages) != [OLD] * len(messages)
    return [Dead(f"schema version {version}") for version in versions]


async def test_an_old_workers_refusal_of_a_new_job_is_not_ready_at_the_new_gateway():
    queue = InMemoryQueue()
    offers = {
        "detector": DetectorOffer(("ferface",)),
        "classifier": ClassifierOffer((ModelOffer("a", "1", ("neutral",), "a fake"),)),
    }
    settings = GatewaySettings(predict_deadline_s=20, model="a")
    await queue.heartbeat("classifier", "c", msgspec.json.encode(offers["classifier"]))
    async with (
        working(
            queue,
            FRAMES,
            bury_another_version,
            msgspec.json.encode(offers["detector"]),
            lambda _: msgspec.msgpack.encode(OLD_ERROR),
        ),
        LifespanManager(create_app(settings, queue=queue, metrics=Metrics())) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://test") as client,
    ):
        async with asyncio.timeout(10):  # half of the deadline
            while "updated" not in (response := await post(client)).json()["detail"]:
                await queue.heartbeat("classifier", "c", msgspec.json.encode(offers["classifier"]))
                await asyncio.sleep(0.02)
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        assert response.headers["retry-after"] == "1"
        assert (await queue.backlog(FRAMES)).depth == 0


async def post(client: httpx.AsyncClient) -> httpx.Response:
    headers = {"content-type": "image/jpeg"}
    return await client.post("/predict", content=no_face_jpeg(), headers=headers)


@pytest.mark.parametrize(
    "reply",
    [
        OLD_RESULT,
        OLD_ERROR,
        OLD_RESULT
        | {"schema_version": 3},  # of workers that would answer without the prior they were asked for
        OLD_RESULT | {"schema_version": SCHEMA_VERSION + 1},
    ],
)
def test_a_reply_of_another_version_is_known_by_its_version_whatever_else_it_holds(reply):
    with pytest.raises(OtherVersionError) as fault:
        decode_reply(msgspec.msgpack.encode(reply))
    assert fault.value.version == reply["schema_version"]
    assert fault.value.fault.code == "not_ready"


def test_a_body_without_a_version_is_unreadable_and_of_no_other_version():
    body = {name: value for name, value in OLD_RESULT.items() if name != "schema_version"}
    with pytest.raises(Exception, match="schema_version") as fault:
        decode_reply(msgspec.msgpack.encode(body))
    assert not isinstance(fault.value, OtherVersionError)

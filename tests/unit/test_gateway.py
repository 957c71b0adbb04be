"""The gateway on an in-memory queue whose workers are played by the test."""

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest
from asgi_lifespan import LifespanManager

from fercore.contracts.errors import DeadlineExceeded, FerError, InvalidImage, UpstreamUnavailable
from fercore.contracts.messages import (
    ClassifierOffer,
    DetectorOffer,
    FrameResult,
    ModelOffer,
    Timings,
    decode_frame_job,
    encode,
    encode_error,
)
from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.queue import FACES, FRAMES, Envelope
from fercore.service.metrics import Metrics
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.support.bad_inputs import multipart
from tests.support.consuming import settle
from tests.support.images import no_face_jpeg

pytestmark = pytest.mark.anyio

JPEG = {"content-type": "image/jpeg"}
ABC = {"x-request-id": "abc"}


class FlakyQueue(InMemoryQueue):
    """An in-memory queue that can be away."""

    is_away = False

    async def publish(self, channel, envelope):
        self._raise_if_away()
        await super().publish(channel, envelope)

    async def offers(self, service):
        self._raise_if_away()
        return await super().offers(service)

    async def receive_replies(self, reply_to, *, wait_ms):
        self._raise_if_away()
        replies = await super().receive_replies(reply_to, wait_ms=min(wait_ms, 20))
        self._raise_if_away()
        return replies

    def _raise_if_away(self) -> None:
        if self.is_away:
            raise UpstreamUnavailable("the queue is away")


class SlowToSend(FlakyQueue):
    """A queue that sends when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_sending = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def publish(self, channel, envelope):
        self.is_sending.set()
        await self.may_go_on.wait()
        await super().publish(channel, envelope)


@pytest.fixture
def queue() -> FlakyQueue:
    return FlakyQueue()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def client(queue, metrics) -> AsyncIterator[httpx.AsyncClient]:
    settings = GatewaySettings(predict_deadline_s=0.5, max_inflight=3, model="a")
    async with (
        LifespanManager(create_app(settings, queue=queue, metrics=metrics)) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://test") as client,
    ):
        yield client


async def announce(queue: InMemoryQueue, detectors=("ferface",), models=("a",)) -> None:
    offer = ClassifierOffer(
        tuple(ModelOffer(name, "3", ("neutral", "happiness"), "a fake") for name in models)
    )
    await queue.heartbeat(FRAMES.service, "d", msgspec.json.encode(DetectorOffer(detectors)))
    await queue.heartbeat(FACES.service, "c", msgspec.json.encode(offer))


async def post(client: httpx.AsyncClient, **query: Any) -> httpx.Response:
    return await client.post("/predict", content=no_face_jpeg(), headers=JPEG, params=query)


async def until_it_is(client: httpx.AsyncClient, code: str, **query: object) -> httpx.Response:
    """Ask until the directory has seen what the test announced."""
    async with asyncio.timeout(5):
        while (response := await post(client, **query)).json().get("code") != code:
            await asyncio.sleep(0.02)
    return response


def empty_result(model: str) -> FrameResult:
    return FrameResult(
        width=320,
        height=240,
        detector="ferface",
        model=model,
        model_version=None,
        labels=(),
        faces=(),
        emotions=(),
        timings=Timings(queue_ms=1, decode_ms=1, detect_ms=1, align_ms=1),
    )


async def work(queue: InMemoryQueue, answer) -> None:
    """Play a detector: end each frame with what `answer` makes of its envelope."""
    while True:
        await announce(queue)
        for message in await queue.receive(FRAMES, "d", max_n=1, wait_ms=50):
            envelope = message.envelope
            reply = answer(envelope)
            await settle(queue, message, reply=reply)


@pytest.fixture
async def worker(queue):
    tasks = []

    def start(answer) -> None:
        tasks.append(asyncio.create_task(work(queue, answer)))

    yield start
    for task in tasks:
        task.cancel()


def reply_to(envelope: Envelope, body: bytes) -> Envelope:
    return Envelope(envelope.request_id, envelope.reply_to, envelope.deadline_ms, body)


async def test_without_workers_it_is_not_ready(client):
    response = await until_it_is(client, "not_ready")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert (await client.get("/readyz")).status_code == 503


async def test_offers_make_it_ready_and_fill_the_catalogue(client, queue):
    await announce(queue, models=("b", "a"))
    async with asyncio.timeout(5):
        while (await client.get("/readyz")).status_code != 200:
            await announce(queue)
            await asyncio.sleep(0.02)
    models = (await client.get("/models")).json()["models"]
    assert [(model["name"], model["version"], model["default"]) for model in models] == [("a", "3", True)]
    assert (await client.get("/detectors")).json() == {"detectors": [{"name": "ferface", "default": True}]}


async def test_what_no_worker_offers_is_unknown(client, worker):
    worker(lambda envelope: reply_to(envelope, encode(empty_result("a"))))
    await until_it_is(client, "unknown_model", model="b")
    response = await until_it_is(client, "unknown_detector", detector="other")
    assert response.json()["detail"] == (
        "the detector 'other' is not offered; offered: ferface; `make models` fetches the weights of others"
    )


async def test_an_offer_that_cannot_be_read_counts_for_nothing(client, queue):
    await queue.heartbeat(FRAMES.service, "odd", b"\xff not json")
    await until_it_is(client, "not_ready")
    assert (await client.get("/detectors")).json() == {"detectors": []}


async def test_a_result_is_answered_with_the_offered_version(client, worker):
    worker(lambda envelope: reply_to(envelope, encode(empty_result("a"))))
    response = await until_it_is(client, None)
    body = response.json()
    assert body["model"] == {"name": "a", "version": "3"}
    assert body["request_id"] == response.headers["x-request-id"]


async def test_the_options_travel_with_the_image(client, worker):
    jobs = []

    def answer(envelope):
        jobs.append(decode_frame_job(envelope.body))
        return reply_to(envelope, encode(empty_result("a")))

    worker(answer)
    await until_it_is(client, None, max_faces=7, min_face_px=99, min_score=0.25)
    options = jobs[-1].options
    assert (options.detector, options.max_faces, options.min_face_px, options.min_score) == (
        "ferface",
        7,
        99,
        0.25,
    )
    assert jobs[-1].image == no_face_jpeg()


async def test_every_public_route_is_there_under_v1_too(client, queue):
    await announce(queue)
    for path in ("/emotions", "/models", "/detectors"):
        assert (await client.get(f"/v1{path}")).json() == (await client.get(path)).json()
    documented = (await client.get("/openapi.json")).json()["paths"]
    assert not [path for path in documented if path.startswith("/v1")]


async def test_a_workers_fault_is_the_callers(client, worker):
    worker(lambda envelope: reply_to(envelope, encode_error(InvalidImage("cut short"))))
    response = await until_it_is(client, "invalid_image")
    assert response.status_code == 422
    assert response.json()["detail"] == "cut short"


async def test_a_reply_that_cannot_be_read_is_internal_and_says_nothing(client, worker):
    worker(lambda envelope: reply_to(envelope, b"junk"))
    response = await until_it_is(client, "internal")
    assert response.status_code == 500
    assert "junk" not in response.text


async def test_no_reply_is_a_deadline(client, queue, worker):
    worker(lambda envelope: None)
    response = await until_it_is(client, "deadline_exceeded")
    assert response.status_code == 504


async def test_a_reply_that_nobody_awaits_is_counted_and_thrown_away(client, worker, metrics):
    stray = "nobody/0"
    worker(lambda envelope: replace(reply_to(envelope, b""), request_id=stray))
    await until_it_is(client, "deadline_exceeded")
    assert 'outcome="unawaited",stream="fer:reply"} 1.0' in metrics.exposition().decode()


async def test_a_lost_queue_fails_waiting_requests_at_once_and_comes_back(client, queue, worker):
    worker(lambda envelope: None)
    await until_it_is(client, "deadline_exceeded")
    waiting = asyncio.create_task(post(client))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while not (await queue.backlog(FRAMES)).depth:
            await asyncio.sleep(0)
        queue.is_away = True
        assert (await waiting).json()["code"] in ("upstream_unavailable", "deadline_exceeded")
    assert (await post(client)).json()["code"] == "upstream_unavailable"
    queue.is_away = False
    await until_it_is(client, "deadline_exceeded")


async def test_a_lost_queue_is_told_with_the_requests_that_it_fails(client, queue, worker, told):
    worker(lambda envelope: None)
    await until_it_is(client, "deadline_exceeded")
    waiting = asyncio.create_task(client.post("/predict", content=no_face_jpeg(), headers=JPEG | ABC))
    async with asyncio.timeout(5):
        while not (await queue.backlog(FRAMES)).depth:
            await asyncio.sleep(0)
    queue.is_away = True
    await waiting
    assert ["abc"] in [line.request_ids for line in told("the queue was lost")]


@pytest.mark.parametrize("queue", [SlowToSend()], ids=["slow to send"])
async def test_a_queue_that_is_lost_while_a_frame_is_sent_leaves_no_fault_that_nobody_awaits(
    client, queue, worker, told
):
    unawaited: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unawaited.append(context["message"]))
    worker(lambda envelope: None)
    asked = asyncio.create_task(until_it_is(client, "upstream_unavailable"))
    async with asyncio.timeout(10):
        await queue.is_sending.wait()
        queue.is_away = True
        while not any(line.request_ids for line in told("the queue was lost")):
            await asyncio.sleep(0.01)
        queue.may_go_on.set()
        await asked
    gc.collect()
    assert unawaited == []


async def test_many_images_are_admitted_all_or_none(client, worker):
    worker(lambda envelope: reply_to(envelope, encode(empty_result("a"))))
    await until_it_is(client, None)
    form = {"content-type": "multipart/form-data; boundary=b0undary"}
    three = multipart([("file", no_face_jpeg())] * 3)
    assert len((await client.post("/predict", content=three, headers=form)).json()["results"]) == 3
    four = multipart([("file", no_face_jpeg())] * 4)
    refused = await client.post("/predict", content=four, headers=form)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert (await post(client)).status_code == 200


@pytest.mark.parametrize(
    ("fault", "counted"),
    [(DeadlineExceeded("too late"), 1), (InvalidImage("cut short"), 0)],
    ids=["ours", "theirs"],
)
async def test_several_images_of_which_we_failed_one_are_counted(client, worker, metrics, fault, counted):
    faults: list[FerError] = []
    good = encode(empty_result("a"))
    worker(lambda envelope: reply_to(envelope, encode_error(faults.pop()) if faults else good))
    await until_it_is(client, None)
    faults.append(fault)
    form = {"content-type": "multipart/form-data; boundary=b0undary"}
    two = await client.post("/predict", content=multipart([("file", no_face_jpeg())] * 2), headers=form)
    assert two.status_code == 200
    assert sorted("error" in result for result in two.json()["results"]) == [False, True]
    assert f'fer_incomplete_answers_total{{route="/predict"}} {counted}.0' in metrics.exposition().decode()


async def test_senders_that_send_nothing_shut_nobody_out(client, worker):
    worker(lambda envelope: reply_to(envelope, encode(empty_result("a"))))
    await until_it_is(client, None)
    release = asyncio.Event()
    begun = 0

    async def body():
        nonlocal begun
        begun += 1
        yield b"\xff\xd8"
        await release.wait()

    idle = [asyncio.create_task(client.post("/predict", content=body(), headers=JPEG)) for _ in range(10)]
    async with asyncio.timeout(5):
        while begun < 10:
            await asyncio.sleep(0)
    assert (await post(client)).status_code == 200
    release.set()
    assert {response.status_code for response in await asyncio.gather(*idle)} == {415}

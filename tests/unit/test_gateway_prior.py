"""The gateway reads a prior, refuses it before a frame is sent, and says in the answer what was assumed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from asgi_lifespan import LifespanManager

from fercore.contracts.emotions import EMOTIONS
from fercore.contracts.messages import (
    ClassifierOffer,
    DetectorOffer,
    FrameJob,
    ModelOffer,
    decode_frame_job,
    encode,
)
from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.queue import FACES, FRAMES
from fercore.service.metrics import Metrics
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.support.consuming import settle
from tests.support.images import no_face_jpeg
from tests.unit.test_gateway import empty_result, reply_to

pytestmark = pytest.mark.anyio

TWO = {"neutral": 0.75, "happiness": 0.25}
OFFERS = (
    ModelOffer("a", "3", EMOTIONS, "a fake", dict.fromkeys(EMOTIONS, 0.125)),
    ModelOffer("old", "1", EMOTIONS, "of an older card"),
    ModelOffer("two", "1", tuple(TWO), "knows two", TWO),
)

NO_SHARES = (
    "prior: the card of the model 'old' states no training_shares, so it can answer with "
    "prior=training only; models that can: a, two"
)

CHANGING = {"request_id": "", "timings_ms": {}}
"""What differs from answer to answer."""


class Gateway:
    """A gateway whose workers the test plays; notes the jobs that reach them."""

    def __init__(self, http: httpx.AsyncClient, jobs: list[FrameJob]) -> None:
        self.http, self.jobs = http, jobs

    async def predict(self, **query: Any) -> httpx.Response:
        headers = {"content-type": "image/jpeg"}
        return await self.http.post("/predict", content=no_face_jpeg(), headers=headers, params=query)


@asynccontextmanager
async def gateway(**settings: Any) -> AsyncIterator[Gateway]:
    queue, jobs = InMemoryQueue(), []

    async def work() -> None:
        while True:
            await queue.heartbeat(FRAMES.service, "d", msgspec.json.encode(DetectorOffer(("ferface",))))
            await queue.heartbeat(FACES.service, "c", msgspec.json.encode(ClassifierOffer(OFFERS)))
            for delivery in await queue.receive(FRAMES, "d", max_n=1, wait_ms=50):
                job = decode_frame_job(delivery.envelope.body)
                jobs.append(job)
                made = msgspec.structs.replace(empty_result(job.model), prior=job.prior)
                await settle(queue, delivery, reply=reply_to(delivery.envelope, encode(made)))

    app = create_app(GatewaySettings(model="a", **settings), queue=queue, metrics=Metrics())
    working = asyncio.create_task(work())
    try:
        async with (
            LifespanManager(app) as manager,
            httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://test") as http,
        ):
            async with asyncio.timeout(10):
                while (await http.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.02)
            yield Gateway(http, jobs)
    finally:
        working.cancel()
        await asyncio.wait([working])


async def test_an_answer_without_a_prior_is_as_trained_and_says_for_which_mix(told):
    async with gateway() as server:
        answer = (await server.predict()).json()
        assert answer["prior"] == {"name": "training", "shares": dict.fromkeys(EMOTIONS, 0.125)}
        assert (await server.predict(prior="training")).json()["prior"] == answer["prior"]
        old = (await server.predict(model="old")).json()
        assert old["prior"] == {"name": "training", "shares": None}
        assert (await server.predict(model="old", prior="training")).json() | CHANGING == old | CHANGING
        assert [job.prior for job in server.jobs] == [None] * 4
    assert told("a model answers as trained") == []


async def test_a_prior_is_sent_as_shares_of_the_models_emotions_and_stands_in_the_answer():
    async with gateway() as server:
        answer = (await server.predict(model="two", prior="uniform")).json()
        assert answer["prior"] == {"name": "uniform", "shares": {"neutral": 0.5, "happiness": 0.5}}
        answer = (await server.predict(prior="happiness:2,neutral:1")).json()
        assert answer["prior"]["name"] == "custom"
        assert answer["prior"]["shares"] == dict.fromkeys(EMOTIONS, 0) | {
            "happiness": 0.6667,
            "neutral": 0.3333,
        }
        assert server.jobs[-1].prior.shares["happiness"] == 2 / 3


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"prior": "anger:-1,neutral:2"}, "prior: the share of anger is negative"),
        ({"prior": "joy:1"}, "prior: 'joy' is none of the emotions neutral, happiness"),
        ({"prior": "anger:0"}, "prior: the shares must not sum to 0"),
        ({"prior": "auto"}, "prior: auto is for live streams only"),
        ({"prior": "equal"}, "prior: must be training, uniform, or shares such as neutral:0.2,happiness:0.8"),
        (
            {"prior": "anger:1", "model": "two"},
            "prior: 'anger' is none of the emotions neutral, happiness of the model 'two'",
        ),
        (
            {"prior": "uniform", "model": "old"},
            NO_SHARES,
        ),
    ],
)
async def test_a_wrong_prior_is_422_with_the_reason_and_no_frame_is_sent(query, reason):
    async with gateway() as server:
        response = await server.predict(**query)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
        assert response.json()["detail"].startswith(reason)
        assert server.jobs == []


async def test_the_gateways_default_holds_for_those_who_state_none_where_the_model_can(told):
    async with gateway(prior="neutral:1,anger:1") as server:
        assert (await server.predict()).json()["prior"]["name"] == "custom"
        assert (await server.predict(prior="training")).json()["prior"]["name"] == "training"
        for model in ("old", "two", "old"):
            assert (await server.predict(model=model)).json()["prior"]["name"] == "training"
    lines = told("a model answers as trained")
    assert [line.details["model"] for line in lines] == ["old", "two"]
    assert "FER_PRIOR: the card of the model 'old'" in lines[0].details["reason"]


async def test_the_catalogue_and_the_schema_tell_what_a_prior_is():
    async with gateway() as server:
        models = (await server.http.get("/models")).json()["models"]
        assert {model["name"]: model["training_shares"] for model in models} == {
            "a": dict.fromkeys(EMOTIONS, 0.125),
            "old": None,
            "two": TWO,
        }
        schema = (await server.http.get("/openapi.json")).json()
        (parameter,) = [
            one for one in schema["paths"]["/predict"]["post"]["parameters"] if one["name"] == "prior"
        ]
        assert not parameter["required"]
        assert "uniform" in str(parameter["schema"])
        body = schema["components"]["schemas"]["Prediction"]
        assert "prior" in body["properties"]
        assert "prior" not in body["required"]

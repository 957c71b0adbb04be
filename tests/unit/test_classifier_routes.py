"""`POST /classify`: framed faces, answered for the prior that is asked for."""

from collections.abc import AsyncIterator

import httpx
import pytest
from asgi_lifespan import LifespanManager
from PIL import Image

from fercore.messaging.memory import InMemoryQueue
from fercore.service.metrics import Metrics
from services.classifier.settings import ClassifierSettings
from services.classifier.wiring import create_app
from tests.support.fakes import BrightnessBackend
from tests.support.images import encoded
from tests.support.requires import ROOT

pytestmark = pytest.mark.anyio

PNG = {"content-type": "image/png"}
HAPPY = encoded(Image.new("RGB", (112, 112), (10, 10, 10)), "PNG")
"""For the fake backend, which goes by brightness."""


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        ClassifierSettings(model_repository=ROOT / "model_repository"),
        queue=InMemoryQueue(),
        backend=BrightnessBackend(),
        metrics=Metrics(),
    )
    async with (
        LifespanManager(app) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://test") as client,
    ):
        yield client


async def classify(client: httpx.AsyncClient, **query: str) -> httpx.Response:
    return await client.post("/classify", content=HAPPY, headers=PNG, params=query)


async def test_the_answer_is_corrected_and_names_the_prior(client):
    trained = (await classify(client)).json()
    assert trained["prior"]["name"] == "training"
    assert trained["prior"]["shares"]["contempt"] == 0.0041
    equal = (await classify(client, prior="uniform")).json()
    assert equal["prior"]["name"] == "uniform"
    before, after = (answer["faces"][0]["probabilities"] for answer in (trained, equal))
    assert trained["faces"][0]["emotion"] == "happiness"
    assert after["contempt"] > before["contempt"]
    only = (await classify(client, prior="fear:1")).json()["faces"][0]
    assert (only["emotion"], only["score"]) == ("fear", 1)


@pytest.mark.parametrize(
    ("prior", "reason"),
    [("joy:1", "'joy' is none"), ("fear:0", "must not sum to 0"), ("auto", "for live streams only")],
)
async def test_a_wrong_prior_is_422(client, prior, reason):
    response = await classify(client, prior=prior)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert reason in response.json()["detail"]

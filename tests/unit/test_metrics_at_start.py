"""What `/metrics` shows of each service before anything has happened: the first event must be an increase."""

import re
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from asgi_lifespan import LifespanManager

from fercore.contracts.emotions import EMOTIONS
from fercore.inference.onnxruntime import OnnxRuntimeBackend
from fercore.messaging.memory import InMemoryQueue
from fercore.service.metrics import Metrics
from services.classifier.settings import ClassifierSettings
from services.classifier.wiring import create_app as create_classifier
from services.detector.settings import DetectorSettings
from services.detector.wiring import create_app as create_detector
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app as create_gateway
from tests.support.live_gateway import until

pytestmark = pytest.mark.anyio

MODELS = Path(__file__).parent.parent / "model_repository"
SERIES = re.compile(r"(fer_\w+)\{(.*)\} 0\.0")

PREDICT = {
    f'fer_requests_total{{code="{code}",route="{route}",service="gateway"}}'
    for route in ("/predict", "/v1/predict")
    for code in (500, 503, 504)
} | {f'fer_incomplete_answers_total{{route="{route}"}}' for route in ("/predict", "/v1/predict")}
REPLIES = {
    'fer_queue_messages_total{outcome="unawaited",stream="fer:reply"}',
    'fer_stage_duration_seconds_count{stage="total"}',
}
STREAMS = {
    f'fer_stream_frames_total{{outcome="{outcome}"}}'
    for outcome in ("result", "dropped", "refused", "failed")
}
RECORDINGS = {
    f'fer_session_rows_lost_total{{reason="{reason}"}}'
    for reason in ("crowded", "session_full", "store_away")
}
ALERTS = {'fer_alerts_total{rule="negative"}', 'fer_alerts_total{rule="session"}'}
DELIVERIES = {
    f'fer_webhook_deliveries_total{{outcome="{outcome}"}}'
    for outcome in ("delivered", "failed", "given_up", "dropped")
}
GATEWAY = PREDICT | REPLIES | STREAMS | RECORDINGS | ALERTS


def worked_on(stream: str) -> set[str]:
    return {
        f'fer_queue_messages_total{{outcome="{outcome}",stream="{stream}"}}'
        for outcome in ("done", "expired", "dead", "taken_over")
    }


@asynccontextmanager
async def running(app):
    async with (
        LifespanManager(app) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://test") as client,
    ):
        yield client


async def zeros(client: httpx.AsyncClient) -> set[str]:
    """Give the series with labels that are 0, buckets and sums left out."""
    found = SERIES.findall((await client.get("/metrics")).text)
    return {f"{name}{{{labels}}}" for name, labels in found if name.endswith(("_total", "_count"))}


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, GATEWAY),
        ({"alerts": ()}, GATEWAY - {'fer_alerts_total{rule="negative"}'}),
        ({"webhook_url": "https://hooks.example/", "webhook_secret": "x"}, GATEWAY | DELIVERIES),
    ],
    ids=["as it is", "without rules", "with a webhook"],
)
async def test_a_gateway_shows_what_it_may_count(options, shown):
    app = create_gateway(GatewaySettings(**options), queue=InMemoryQueue(), metrics=Metrics())
    async with running(app) as client:
        assert await zeros(client) == shown


async def test_a_detector_shows_how_frames_may_end():
    settings = DetectorSettings(detector="haar")
    async with running(create_detector(settings, queue=InMemoryQueue(), metrics=Metrics())) as client:
        assert await zeros(client) == worked_on("fer:frames")


async def test_a_classifier_shows_how_faces_may_end_and_what_its_models_may_answer():
    settings = ClassifierSettings(model_repository=MODELS, model="tiny")
    metrics = Metrics()
    app = create_classifier(
        settings, queue=InMemoryQueue(), backend=OnnxRuntimeBackend(MODELS, threads=1), metrics=metrics
    )
    async with running(app) as client:
        await until(lambda: b"fer_model_info{" in metrics.exposition())
        shown = await zeros(client)
    answers = {
        f'fer_predictions_total{{emotion="{emotion}",model="{model}",version="1"}}'
        for model in ("slow", "tiny")
        for emotion in EMOTIONS
    } | {
        f'fer_uncertain_faces_total{{model="{model}",reason="{reason}",version="1"}}'
        for model in ("slow", "tiny")
        for reason in ("low_score", "low_quality")
    }
    assert shown == worked_on("fer:faces") | answers

"""`POST /detect` with a detector that the test holds up."""

import contextlib
import threading
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from fercore.service.app import build_app
from fercore.service.intake import Intake
from fercore.service.metrics import Metrics
from fercore.service.settings import ImageLimits
from fercore.vision.detection import Detections
from services.detector.core import DetectorCore
from services.detector.routes import detect_routes
from tests.support.fakes import FixedDetector, plugin_package
from tests.support.images import no_face_jpeg

pytestmark = pytest.mark.anyio

JPEG = {"content-type": "image/jpeg"}
NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), None)


@pytest.fixture
def may_go_on() -> threading.Event:
    return threading.Event()


@pytest.fixture
def app(may_go_on, tmp_path, monkeypatch) -> FastAPI:
    """A detector with one thread that answers in 0.2 s, or not at all before the test says so."""
    monkeypatch.syspath_prepend(tmp_path)
    source = "def create(model_repository):\n    return model_repository\n"
    plugins = plugin_package(tmp_path, "plugins_held_up", fixed=source)

    def find(_):
        assert may_go_on.wait(20)
        return NOTHING

    metrics = Metrics()
    found: Any = FixedDetector(find)  # the plug-in gives back what it is handed
    core = DetectorCore(plugins, model_repository=found, threads=1, metrics=metrics)
    app = build_app(
        service="detector",
        title="t",
        description="d",
        metrics=metrics,
        checks={},
        lifespan=lambda _: contextlib.nullcontext(),
    )
    intake = Intake(ImageLimits(), metrics)
    app.include_router(detect_routes(core, intake, default_detector="fixed", timeout_s=0.2))
    return app


async def test_an_image_beyond_its_deadline_is_told_so_and_the_next_one_is_answered(app, may_go_on, told):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        late = await client.post("/detect", content=no_face_jpeg(), headers=JPEG | {"x-request-id": "abc"})
        may_go_on.set()
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        assert late.json()["detail"] == "no answer in 0.2 s"
        (line,) = told("a request failed")
        assert (line.level, line.request_id, line.details["code"]) == ("WARNING", "abc", "deadline_exceeded")
        answers = [await client.post("/detect", content=no_face_jpeg(), headers=JPEG) for _ in range(20)]
        assert 200 in {answer.status_code for answer in answers}

"""`POST /detect`: the detector's own HTTP route, for a picture without emotions.

Calls the same core as the queue's handler.
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from fercore.contracts import api
from fercore.contracts.answers import to_detected_face
from fercore.contracts.api import Detection, ImageSize, PredictOptions
from fercore.contracts.errors import DeadlineExceeded
from fercore.contracts.messages import DetectOptions
from fercore.service.bodies import OPENAPI_BODY
from fercore.service.intake import Intake
from fercore.service.queries import ONCE_EACH
from services.detector.core import DetectorCore


def detect_routes(
    core: DetectorCore, intake: Intake, *, default_detector: str, timeout_s: float
) -> APIRouter:
    """Build the route; it takes the options of `POST /predict`, of which `model` plays no part here."""
    router = APIRouter(tags=["detector"], dependencies=[ONCE_EACH])

    @router.post(
        "/detect", response_model=Detection | api.Detections, openapi_extra={"requestBody": OPENAPI_BODY}
    )
    async def detect(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
        """Find the faces of one picture, or of several."""
        wanted = DetectOptions.of(options, detector=options.detector or default_detector)

        async def analyze(image: bytes, request_id: str) -> Detection:
            try:
                async with asyncio.timeout(timeout_s):
                    found = await core.analyze_apart(image, wanted)
            except TimeoutError as err:
                raise DeadlineExceeded(f"no answer in {timeout_s:g} s") from err
            return Detection(
                request_id=request_id,
                detector=wanted.detector,
                image=ImageSize(width=found.width, height=found.height),
                faces=[to_detected_face(face) for face in found.faces],
                timings_ms={stage: round(ms, 3) for stage, ms in found.timings.detector_ms().items()},
            )

        return await intake.answer(request, analyze, lambda results: api.Detections(results=results))

    return router

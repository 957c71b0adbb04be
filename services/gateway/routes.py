"""The gateway's HTTP routes: thin shells over the pipeline and the directory.

Knows HTTP, no queue.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from fercore.contracts.api import (
    DetectorInfo,
    Detectors,
    EmotionList,
    ModelInfo,
    Models,
    Prediction,
    Predictions,
    PredictOptions,
)
from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.service.bodies import OPENAPI_BODY
from fercore.service.errors import PROBLEMS
from fercore.service.intake import Intake
from fercore.service.metrics import Metrics
from fercore.service.queries import ONCE_EACH
from services.gateway.directory import Directory
from services.gateway.pipeline import Pipeline
from services.gateway.settings import GatewaySettings


def predict_routes(
    pipeline: Pipeline, intake: Intake, settings: GatewaySettings, metrics: Metrics
) -> APIRouter:
    """Build `POST /predict`."""
    router = APIRouter(tags=["emotions"], dependencies=[ONCE_EACH])

    async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
        """Find every face in an image (or in several) and classify its emotion.

        Send `multipart/form-data` with one or several `file`, a raw JPEG, PNG or WebP, or JSON with
        `image` or `images` in base64. Faces come largest first; no face is an empty list.
        """

        async def analyze(image: bytes, request_id: str) -> Prediction:
            return await pipeline.analyze(
                image, options, request_id=request_id, deadline_s=settings.predict_deadline_s
            )

        return await intake.answer(
            request, analyze, lambda results: Predictions(results=results), server_timing
        )

    router.add_api_route(
        "/predict",
        predict,
        methods=["POST"],
        response_model=Prediction | Predictions,
        responses=PROBLEMS,
        openapi_extra={"requestBody": OPENAPI_BODY},
    )
    for path in ("/predict", "/v1/predict"):
        metrics.show_route("gateway", path)
    return router


def catalogue_routes(directory: Directory, settings: GatewaySettings) -> APIRouter:
    """Build `GET /emotions`, `/models` and `/detectors`."""
    router = APIRouter(tags=["catalogue"])

    @router.get("/emotions")
    async def emotions() -> EmotionList:
        """List the canonical emotions in their order."""
        return EmotionList(emotions=list(EMOTIONS))

    @router.get("/models")
    async def models() -> Models:
        """List the emotion models that live classifiers offer."""
        return Models(
            models=[
                ModelInfo(
                    name=offer.name,
                    version=offer.version,
                    labels=[Emotion(label) for label in offer.labels],
                    description=offer.description,
                    default=offer.name == settings.model,
                    training_shares=None
                    if offer.training_shares is None
                    else {Emotion(label): share for label, share in offer.training_shares.items()},
                )
                for offer in directory.offers.models
            ]
        )

    @router.get("/detectors")
    async def detectors() -> Detectors:
        """List the face detectors that live detector services offer."""
        return Detectors(
            detectors=[
                DetectorInfo(name=name, default=name == settings.detector)
                for name in directory.offers.detectors
            ]
        )

    return router


def server_timing(prediction: Prediction) -> dict[str, str]:
    """Return the stage timings as a `Server-Timing` header (W3C Server Timing)."""
    timings = prediction.timings_ms.model_dump()
    return {"Server-Timing": ", ".join(f"{stage};dur={ms}" for stage, ms in timings.items())}

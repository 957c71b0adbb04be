"""`POST /classify`: the classifier's own HTTP route, for faces that are framed already.

Calls the same core as the queue's handler.
"""

import asyncio
from concurrent.futures import Executor
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from fercore.contracts.answers import to_classification, to_prior
from fercore.contracts.api import Body, Classifications, ModelRef, PluginName
from fercore.contracts.emotions import Emotion
from fercore.contracts.errors import InvalidRequest
from fercore.contracts.messages import ExpectedMix
from fercore.contracts.prior import TRAINING, PriorText, WrongPrior, read_name, read_shares
from fercore.service.bodies import OPENAPI_BODY
from fercore.service.intake import Intake, json_response
from fercore.service.logging import request_id_var
from fercore.service.queries import ONCE_EACH
from fercore.vision.crop import FaceCrop, crop_whole
from fercore.vision.decode import decode
from services.classifier.core import ClassifierCore
from services.classifier.settings import ClassifierSettings


class ClassifyOptions(Body):
    """Query parameters of `POST /classify`."""

    model: PluginName | None = None
    prior: PriorText = TRAINING


def classify_routes(
    core: ClassifierCore, intake: Intake, settings: ClassifierSettings, pool: Executor
) -> APIRouter:
    """Build the route; images are decoded in `pool`."""
    router = APIRouter(tags=["classifier"], dependencies=[ONCE_EACH])

    @router.post("/classify", response_model=Classifications, openapi_extra={"requestBody": OPENAPI_BODY})
    async def classify(request: Request, options: Annotated[ClassifyOptions, Query()]) -> Response:
        """Give the emotions of framed faces: each picture is one face, resized without detection."""
        name = options.model or settings.model
        mix = _read_prior(options.prior, core.model(name).card.labels)
        log_weights = core.weigh(name, mix)
        async with intake.images(request) as images:
            for image in images:
                intake.check(image)
            loop = asyncio.get_running_loop()
            crops = await asyncio.gather(*(loop.run_in_executor(pool, _crop, image) for image in images))
            classified = await core.classify(
                name,
                np.stack(crops),
                timeout_s=settings.infer_timeout_s,
                log_weights=[log_weights] * len(crops),
            )
            card = classified.model.card
            body = Classifications(
                request_id=request_id_var.get() or "",
                model=ModelRef(name=card.name, version=card.version),
                prior=to_prior(mix, card.shares_by_name()),
                faces=[to_classification(card.labels, emotions) for emotions in classified.emotions],
            )
            return json_response(body)

    return router


def _read_prior(prior: str, labels: tuple[Emotion, ...]) -> ExpectedMix | None:
    try:
        shares = read_shares(prior, labels)
    except WrongPrior as err:
        raise InvalidRequest(f"prior: {err}") from err
    return None if shares is None else ExpectedMix(name=read_name(prior), shares=shares)


def _crop(image: bytes) -> FaceCrop:
    return crop_whole(decode(image))

"""Intake of every route that takes images: admit, read, refuse, and answer for one image or many."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from fercore.contracts.api import FailedPrediction
from fercore.contracts.errors import FerError
from fercore.service.admission import Admission, Permit
from fercore.service.bodies import read_images
from fercore.service.errors import FAULT_STATUSES, log_fault, problem
from fercore.service.logging import request_id_var
from fercore.service.metrics import Metrics
from fercore.service.settings import ImageLimits
from fercore.vision.header import check_image

Answer = TypeVar("Answer", bound=BaseModel)


class Intake:
    """Admission and limits of one service."""

    def __init__(self, limits: ImageLimits, metrics: Metrics) -> None:
        self._limits = limits
        self._incomplete_answers = metrics.incomplete_answers
        self._admission = Admission(
            max_inflight=limits.max_inflight,
            max_inflight_bytes=limits.max_inflight_bytes,
            gauge=metrics.inflight,
        )

    @asynccontextmanager
    async def images(self, request: Request) -> AsyncIterator[list[bytes]]:
        """Admit a request and yield its encoded images; they count as in flight while the block runs.

        Raises:
            Overloaded: no permit is free.
            FerError: whatever `read_images` raises.
        """
        with self._admission.permit() as permit:
            # bytes count while they arrive, images when they are whole: a slow sender takes no one's place
            images = await read_images(request, self._limits, permit.take_bytes)
            permit.take_images(len(images))
            yield images

    def admit(self, image: bytes) -> Permit:
        """Check and admit an image that is here already; it is in flight until the permit's block ends.

        Raises:
            Overloaded: no permit is free.
            FerError: whatever `check_image` raises.
        """
        self.check(image)
        permit = self._admission.permit()
        permit.take(1, len(image))
        return permit

    def check(self, image: bytes) -> None:
        """Refuse an image that must not be decoded; raises as `check_image` does."""
        check_image(image, max_image_bytes=self._limits.max_image_bytes, max_pixels=self._limits.max_pixels)

    async def answer(
        self,
        request: Request,
        analyze: Callable[[bytes, str], Awaitable[Answer]],
        together: Callable[[list[Answer | FailedPrediction]], BaseModel],
        headers: Callable[[Answer], dict[str, str]] = lambda _: {},
    ) -> Response:
        """Admit a request and answer for its one image, or for all of its images together.

        Args:
            request: its body must not have been read.
            analyze: given an encoded, checked image and its request id.
            together: makes the body for several images, of which each has its own error.
            headers: of the answer for one image.

        Raises:
            FerError: of the request, or of its only image.
        """
        async with self.images(request) as images:
            if len(images) > 1:
                results = await self._each(request, images, analyze)
                if any(_is_our_fault(result) for result in results):  # the status does not show it: it is 200
                    self._incomplete_answers.labels(request.scope["route"].path).inc()
                return json_response(together(results))
            self.check(images[0])
            only = await analyze(images[0], request_id_var.get() or "")
            return json_response(only, headers(only))

    async def _each(
        self, request: Request, images: list[bytes], analyze: Callable[[bytes, str], Awaitable[Answer]]
    ) -> list[Answer | FailedPrediction]:
        async def one(number: int, image: bytes) -> Answer | FailedPrediction:
            request_id = f"{request_id_var.get()}-{number}"
            request_id_var.set(request_id)  # of this task alone
            try:
                self.check(image)
                return await analyze(image, request_id)
            except FerError as err:
                log_fault(err)
                return FailedPrediction(error=problem(err, instance=request.url.path, request_id=request_id))

        return list(await asyncio.gather(*(one(number, image) for number, image in enumerate(images))))


def _is_our_fault(result: BaseModel) -> bool:
    return isinstance(result, FailedPrediction) and result.error.status in FAULT_STATUSES


def json_response(body: BaseModel, headers: dict[str, str] | None = None) -> Response:
    """Answer with a public body, serialised once."""
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)

"""The composition root of the detector: everything is made here and handed in.

What has a lifetime is entered in the lifespan and closed in reverse.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from fastapi import FastAPI

from fercore.contracts.errors import FerError
from fercore.contracts.messages import DetectorOffer, encode_error
from fercore.messaging.consume import ConsumerOptions, consume
from fercore.messaging.queue import FRAMES, Queue
from fercore.service.app import build_app, running
from fercore.service.health import queue_check
from fercore.service.intake import Intake
from fercore.service.metrics import Metrics
from fercore.service.tracing import OFF, Tracing
from services.detector import detectors
from services.detector.core import DetectorCore, use_one_thread_each
from services.detector.handler import FrameHandler
from services.detector.routes import detect_routes
from services.detector.settings import DetectorSettings

Settings = DetectorSettings

SPARE_CONNECTIONS = 8
"""Each waiting thread holds one connection; heartbeats, claims and endings need some more."""


class DetectorWorker:
    """The detector without HTTP: its core, its offer, its consume loop."""

    def __init__(
        self, settings: DetectorSettings, *, queue: Queue, metrics: Metrics, tracing: Tracing = OFF
    ) -> None:
        self._tracing = tracing
        self._settings = settings
        self._queue = queue
        self._metrics = metrics
        self._fault: str | None = "still loading"
        self.core = DetectorCore(
            detectors,
            model_repository=settings.model_repository,
            threads=settings.threads,
            metrics=metrics,
            detect_size_px=settings.detect_size_px,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the default detector and consume frames while the block runs."""
        use_one_thread_each()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self.core.pool, self.core.load, self._settings.detector)
            self._fault = None
        except FerError as err:  # which the core has logged
            self._fault = err.detail
        consuming = consume(
            self._queue,
            FRAMES,
            FrameHandler(self.core, self._queue.now_ms, self._tracing),
            ConsumerOptions(
                offer=self._offer,
                encode_error=encode_error,
                observer=self._metrics,
                max_batch=1,
                concurrency=self._settings.threads,
                finish_s=self._settings.drain_s,
            ),
        )
        try:
            async with running(consuming):
                yield
        finally:
            self.core.close()

    async def check(self) -> str | None:
        """Return why no frame can be analysed, or None."""
        return self._fault

    def _offer(self) -> bytes:
        return msgspec.json.encode(DetectorOffer(() if self._fault else self.core.names))


def create_app(
    settings: DetectorSettings, *, queue: Queue, metrics: Metrics, tracing: Tracing = OFF
) -> FastAPI:
    """Build the service; nothing runs before its lifespan starts."""
    worker = DetectorWorker(settings, queue=queue, metrics=metrics, tracing=tracing)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with worker.running():
                yield
        finally:
            await queue.close()

    app = build_app(
        service="detector",
        title="FER detector",
        description="Finds faces; internal to the cluster.",
        metrics=metrics,
        checks={"queue": queue_check(queue), "detector": worker.check},
        lifespan=lifespan,
        tracing=tracing,
    )
    app.include_router(
        detect_routes(
            worker.core,
            Intake(settings, metrics),
            default_detector=settings.detector,
            timeout_s=settings.detect_timeout_s,
        )
    )
    return app


def create_process(settings: DetectorSettings, *, tracing: Tracing) -> FastAPI:
    """Build the service on its own Redis connections."""
    from fercore.messaging.redis_streams import RedisStreams  # noqa: PLC0415 - all in one process has no Redis

    url = settings.redis_url.get_secret_value()
    queue = RedisStreams(url, max_connections=settings.threads + SPARE_CONNECTIONS)
    return create_app(settings, queue=queue, metrics=Metrics(), tracing=tracing)

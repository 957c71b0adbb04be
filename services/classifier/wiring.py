"""The composition root of the classifier: everything is made here and handed in.

What has a lifetime is entered in the lifespan and closed in reverse.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import msgspec
from fastapi import FastAPI

from fercore.contracts.messages import CROP_BYTES, ClassifierOffer, ModelOffer, encode_error
from fercore.inference.backend import MAX_BATCH, Backend
from fercore.inference.repository import RepositoryScan, scan_repository
from fercore.messaging.consume import ConsumerOptions, consume
from fercore.messaging.queue import FACES, Queue
from fercore.service.app import build_app, running
from fercore.service.health import queue_check
from fercore.service.intake import Intake
from fercore.service.metrics import Metrics
from fercore.service.tracing import OFF, Tracing
from services.classifier.core import ClassifierCore
from services.classifier.handler import FaceHandler
from services.classifier.routes import classify_routes
from services.classifier.settings import ClassifierSettings

Settings = ClassifierSettings

CALLS_AT_ONCE = 2
"""While one batch is inferred the next is gathered; more would only split the batches."""

logger = logging.getLogger(__name__)


class ClassifierWorker:
    """The classifier without HTTP: its core, its offer, its consume loop."""

    def __init__(
        self,
        settings: ClassifierSettings,
        *,
        queue: Queue,
        backend: Backend,
        metrics: Metrics,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._settings = settings
        self._queue = queue
        self._metrics = metrics
        self._scan = _scan(settings)
        self.core = ClassifierCore(self._scan.models, backend=backend, metrics=metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the models and consume faces while the block runs."""
        consuming = consume(
            self._queue,
            FACES,
            FaceHandler(
                self.core,
                self._queue.now_ms,
                infer_timeout_s=self._settings.infer_timeout_s,
                tracing=self._tracing,
            ),
            ConsumerOptions(
                offer=self._offer,
                encode_error=encode_error,
                observer=self._metrics,
                max_batch=self._settings.max_batch_frames,
                max_batch_bytes=MAX_BATCH * CROP_BYTES,  # a call's worth of faces
                concurrency=CALLS_AT_ONCE,
                finish_s=self._settings.drain_s,
            ),
        )
        async with running(self.core.watch(), consuming):
            yield

    async def check(self) -> str | None:
        """Return why the default model cannot be asked, or None."""
        if self._settings.model in [model.name for model in self.core.ready_models]:
            return None
        for broken in self._scan.broken:
            if broken.folder == f"emotion_{self._settings.model}":
                return f"{broken.folder}: {broken.reason}"
        return f"the model {self._settings.model!r} is not ready"

    def _offer(self) -> bytes:
        models = tuple(
            ModelOffer(
                model.name,
                model.card.version,
                model.card.labels,
                model.card.description,
                model.card.shares_by_name(),
            )
            for model in self.core.ready_models
        )
        return msgspec.json.encode(ClassifierOffer(models))


def _scan(settings: ClassifierSettings) -> RepositoryScan:
    try:
        scan = scan_repository(settings.model_repository)
    except OSError as err:
        logger.error(
            "the model repository cannot be read",
            extra={"reason": f"{settings.model_repository}: {err.strerror}"},
        )
        return RepositoryScan((), ())
    for broken in scan.broken:
        logger.error("a model folder is broken", extra={"folder": broken.folder, "reason": broken.reason})
    names = [model.name for model in scan.models]
    if names and settings.model not in names:
        logger.error(
            "the default model is not there",
            extra={"reason": f"FER_MODEL={settings.model!r}: there is {', '.join(names)}"},
        )
    if not scan.models:
        logger.error(
            "there is no model", extra={"reason": f"no good emotion_* in {settings.model_repository}"}
        )
    return scan


def create_app(
    settings: ClassifierSettings, *, queue: Queue, backend: Backend, metrics: Metrics, tracing: Tracing = OFF
) -> FastAPI:
    """Build the service; nothing runs before its lifespan starts."""
    worker = ClassifierWorker(settings, queue=queue, backend=backend, metrics=metrics, tracing=tracing)
    pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="classifier")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with worker.running():
                yield
        finally:
            pool.shutdown(cancel_futures=True)
            await asyncio.gather(backend.close(), queue.close())

    app = build_app(
        service="classifier",
        title="FER classifier",
        description="Tells emotions; internal to the cluster.",
        metrics=metrics,
        checks={"queue": queue_check(queue), "model": worker.check},
        lifespan=lifespan,
        tracing=tracing,
    )
    app.include_router(classify_routes(worker.core, Intake(settings, metrics), settings, pool))
    return app


def create_backend(settings: ClassifierSettings, *, tracing: Tracing = OFF) -> Backend:
    """Build what runs the models; only the one that is used is imported."""
    if settings.backend == "triton":
        from fercore.inference.triton import TritonBackend  # noqa: PLC0415

        return TritonBackend(settings.triton_address, traceparent=tracing.traceparent)
    from fercore.inference.onnxruntime import OnnxRuntimeBackend  # noqa: PLC0415

    return OnnxRuntimeBackend(settings.model_repository, threads=settings.threads)


def create_process(settings: ClassifierSettings, *, tracing: Tracing) -> FastAPI:
    """Build the service on its own Redis connections and its backend."""
    from fercore.messaging.redis_streams import RedisStreams  # noqa: PLC0415 - all in one process has no Redis

    queue = RedisStreams(settings.redis_url.get_secret_value())
    backend = create_backend(settings, tracing=tracing)
    return create_app(settings, queue=queue, backend=backend, metrics=Metrics(), tracing=tracing)

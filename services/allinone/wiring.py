"""The composition root of all three services in one process, on one in-memory queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from fercore.inference.backend import Backend
from fercore.messaging.memory import InMemoryQueue
from fercore.service.metrics import Metrics
from fercore.service.tracing import OFF, Tracing
from services.allinone.settings import AllInOneSettings
from services.classifier.wiring import ClassifierWorker, create_backend
from services.detector.wiring import DetectorWorker
from services.gateway.wiring import create_app as create_gateway

Settings = AllInOneSettings

BANNER = "listening on {url} (stop with Ctrl-C); try: curl -F file=@photo.jpg {url}/predict"


def create_app(
    settings: AllInOneSettings, *, backend: Backend, metrics: Metrics, tracing: Tracing = OFF
) -> FastAPI:
    """Build the gateway's application, with a detector and a classifier that run while it serves."""
    queue = InMemoryQueue()
    detector = DetectorWorker(settings, queue=queue, metrics=metrics, tracing=tracing)
    classifier = ClassifierWorker(settings, queue=queue, backend=backend, metrics=metrics, tracing=tracing)

    @asynccontextmanager
    async def workers() -> AsyncIterator[None]:
        try:
            async with classifier.running(), detector.running():
                yield
        finally:
            await backend.close()

    return create_gateway(settings, queue=queue, metrics=metrics, workers=workers, tracing=tracing)


def create_process(settings: AllInOneSettings, *, tracing: Tracing) -> FastAPI:
    """Build the service with its backend."""
    backend = create_backend(settings, tracing=tracing)
    return create_app(settings, backend=backend, metrics=Metrics(), tracing=tracing)

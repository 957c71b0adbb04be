"""Build the FastAPI application that every service is: errors, ids, metrics, health, offline docs."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST

from fercore.service.errors import add_error_handlers
from fercore.service.health import Check, health_routes
from fercore.service.metrics import Metrics
from fercore.service.middleware import RequestScope, TraceScope, WithoutTrailingSlash
from fercore.service.tracing import OFF, Tracing
from fercore.version import VERSION

TAGS = ("emotions", "sessions", "catalogue", "detector", "classifier", "health")
"""The order of the documentation page."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

logger = logging.getLogger(__name__)


def build_app(
    *,
    service: str,
    title: str,
    description: str,
    metrics: Metrics,
    checks: Mapping[str, Check],
    lifespan: Lifespan,
    tracing: Tracing = OFF,
) -> FastAPI:
    """Build an application without routes of its own; does no work before its lifespan starts."""
    app: FastAPI = FastAPIOffline(
        title=title,
        description=description,
        version="1",  # of the API, as in /v1; that of the program is `VERSION`
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,  # `WithoutTrailingSlash` serves both
        openapi_tags=[{"name": tag} for tag in TAGS],
        # spans are `fercore.service.tracing`'s; FastAPI's own would follow any OTEL_ variable of the machine
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    metrics.build_info.labels(VERSION, service).set(1)
    add_error_handlers(app)
    app.add_middleware(TraceScope, tracing=tracing)
    app.add_middleware(RequestScope, service=service, metrics=metrics)
    app.add_middleware(WithoutTrailingSlash)
    app.include_router(health_routes(checks))

    @app.get("/metrics", include_in_schema=False)
    async def expose_metrics() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return app


@asynccontextmanager
async def running(*jobs: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run background jobs while the block runs, then cancel them and wait until they are done.

    A job that fails ends the process, as SIGTERM does: it must not live on with half of its work dead. The
    failure is raised when the block ends, so that the exit status shows it (`fercore.service.run`).
    """
    failures: list[Exception] = []

    async def run(job: Coroutine[None, None, None]) -> None:
        try:
            await job
        except Exception as err:  # noted here, raised below
            logger.exception("a background job failed; the process ends")
            failures.append(err)
            signal.raise_signal(signal.SIGTERM)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(job)) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
    if failures:
        raise failures[0]

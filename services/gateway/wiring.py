"""The composition root of the gateway: everything is made here and handed in.

Knows the parts; what has a lifetime is entered in the lifespan and closed in reverse.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from fastapi import APIRouter, FastAPI

from fercore.contracts.errors import FerError
from fercore.messaging.queue import Queue
from fercore.service.app import build_app, running
from fercore.service.health import Check, queue_check
from fercore.service.intake import Intake
from fercore.service.metrics import Metrics
from fercore.service.tracing import OFF, Tracing
from fercore.service.vitals import ReadVitals, watch_redis
from fercore.state.memory import InMemoryState
from fercore.state.store import StateStore
from services.gateway.alerts.wiring import Alerts
from services.gateway.directory import Directory
from services.gateway.live.observer import MakeObserver
from services.gateway.live.route import stream_routes
from services.gateway.pipeline import Pipeline
from services.gateway.priors import Priors
from services.gateway.recordings.wiring import Recordings
from services.gateway.routes import catalogue_routes, predict_routes
from services.gateway.settings import GatewaySettings
from services.gateway.site import page_routes

Settings = GatewaySettings

DESCRIPTION = "Post an image, stream a camera (`WS /stream`): get every face with calibrated probabilities."


def create_app(
    settings: GatewaySettings,
    *,
    queue: Queue,
    metrics: Metrics,
    workers: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    store: StateStore | None = None,
    redises: Mapping[str, ReadVitals] = {},
    make_observer: MakeObserver | None = None,
    tracing: Tracing = OFF,
) -> FastAPI:
    """Build the service; nothing runs before its lifespan starts.

    Args:
        settings: the gateway's.
        queue: closed with the service.
        metrics: of this process.
        workers: what else lives in this process while it serves (allinone's detector and classifier).
        store: keeps what outlives a process, and is closed with the service; in memory if there is none.
        redises: how each Redis behind queue and store is asked for its vitals, by what it is for.
        make_observer: builds the observer of a live stream; by default that of `Recordings`.
        tracing: of this process.
    """
    directory = Directory(queue)
    pipeline = Pipeline(
        queue,
        directory,
        default_detector=settings.detector,
        default_model=settings.model,
        priors=Priors(directory, settings.prior),
        metrics=metrics,
        tracing=tracing,
    )
    store = store or InMemoryState()
    alerts = Alerts(settings, store=store, metrics=metrics)
    recordings = Recordings(settings, alerts=alerts, store=store, metrics=metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            watches = [watch_redis(redis, read, metrics) for redis, read in redises.items()]
            jobs = (directory.keep_fresh(), pipeline.receive_replies(), *watches)
            async with alerts.running(), recordings.running(), workers(), running(*jobs):
                yield
        finally:
            try:
                await store.close()
            finally:
                await queue.close()

    app = build_app(
        service="gateway",
        title="Facial-expression recognition",
        description=DESCRIPTION,
        metrics=metrics,
        checks={
            "queue": queue_check(queue),
            "replies": pipeline.check,
            "detector": _offered(lambda: directory.detector(settings.detector)),
            "model": _offered(lambda: directory.model(settings.model)),
        },
        lifespan=lifespan,
        tracing=tracing,
    )
    intake = Intake(settings, metrics)
    public = APIRouter()
    public.include_router(predict_routes(pipeline, intake, settings, metrics))
    public.include_router(
        stream_routes(
            pipeline,
            directory,
            intake,
            settings=settings,
            metrics=metrics,
            make_observer=make_observer or recordings.make_observer,
        )
    )
    public.include_router(recordings.routes())
    public.include_router(catalogue_routes(directory, settings))
    app.include_router(public)
    app.include_router(public, prefix="/v1", include_in_schema=False)
    app.include_router(page_routes())
    return app


def _offered(look_up: Callable[[], object]) -> Check:
    """Build the readiness check of something that a live worker must offer."""

    async def check() -> str | None:
        try:
            look_up()
        except FerError as err:
            return err.detail
        return None

    return check


def create_process(settings: GatewaySettings, *, tracing: Tracing) -> FastAPI:
    """Make the service on its own Redis connections."""
    from fercore.messaging.redis_streams import RedisStreams  # noqa: PLC0415 - all in one process has no Redis
    from fercore.state.redis import RedisState  # noqa: PLC0415

    queue = RedisStreams(settings.redis_url.get_secret_value())
    state_url = settings.state_url.get_secret_value()
    store = RedisState(state_url) if state_url else InMemoryState()
    redises = {"queue": queue.vitals}
    if isinstance(store, RedisState):
        redises["state"] = store.vitals
    return create_app(settings, queue=queue, metrics=Metrics(), store=store, redises=redises, tracing=tracing)

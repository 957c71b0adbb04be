"""`WS /stream`: who may open a stream, and how many at once.

Knows the handshake; what is said on a stream is `LiveStream`'s.
"""

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket

from fercore.contracts.errors import Overloaded
from fercore.service.intake import Intake
from fercore.service.logging import request_id_var
from fercore.service.metrics import Metrics
from services.gateway.directory import Directory
from services.gateway.live.connection import FULL
from services.gateway.live.observer import MakeObserver
from services.gateway.live.origin import is_allowed
from services.gateway.live.settings import LiveSettings
from services.gateway.live.stream import LiveStream
from services.gateway.pipeline import Pipeline


def stream_routes(
    pipeline: Pipeline,
    directory: Directory,
    intake: Intake,
    *,
    settings: LiveSettings,
    metrics: Metrics,
    make_observer: MakeObserver,
) -> APIRouter:
    """Build `WS /stream`."""
    router = APIRouter()
    open_streams: set[LiveStream] = set()
    metrics.show_stream_frames()

    async def serve(socket: WebSocket) -> None:
        headers = socket.headers
        if not is_allowed(headers.get("origin"), headers.get("host", ""), settings.allowed_origins):
            raise HTTPException(403)
        await socket.accept()
        stream = LiveStream(
            socket,
            request_id_var.get() or "",
            pipeline=pipeline,
            directory=directory,
            intake=intake,
            observer=make_observer(),
            settings=settings,
            metrics=metrics,
        )
        if len(open_streams) >= settings.live_max_streams:
            await stream.refuse(Overloaded("too many streams are open; try again"), FULL)
            return
        open_streams.add(stream)
        metrics.streams.set(len(open_streams))
        try:
            await stream.run()
        finally:
            open_streams.discard(stream)
            metrics.streams.set(len(open_streams))

    router.add_api_websocket_route("/stream", serve)
    return router

"""`WS /stream`: who may open a stream, and how many at once.

Knows the handshake; what is said on a stream is the session's.
"""

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket

from fercore.contracts.errors import Overloaded
from fercore.service.intake import Intake
from fercore.service.logging import request_id_var
from fercore.service.metrics import Metrics
from services.gateway.directory import Directory
from services.gateway.live.observer import MakeMemory
from services.gateway.live.origin import is_allowed
from services.gateway.live.stream import OUTCOMES, Close, Session
from services.gateway.pipeline import Pipeline
from services.gateway.settings import GatewaySettings

FULL = Close(1013, "overloaded")


def stream_routes(
    pipeline: Pipeline,
    directory: Directory,
    intake: Intake,
    *,
    settings: GatewaySettings,
    metrics: Metrics,
    make_memory: MakeMemory,
) -> APIRouter:
    """Make `WS /stream`."""
    router = APIRouter()
    open_streams: set[Session] = set()
    for outcome in OUTCOMES:
        metrics.stream_frames.labels(outcome)  # shown from the start, as 0

    async def stream(socket: WebSocket) -> None:
        headers = socket.headers
        if not is_allowed(headers.get("origin"), headers.get("host", ""), settings.allowed_origins):
            raise HTTPException(403)
        await socket.accept()
        session = Session(
            socket,
            request_id_var.get() or "",
            pipeline=pipeline,
            directory=directory,
            intake=intake,
            memory=make_memory(),
            settings=settings,
            metrics=metrics,
        )
        if len(open_streams) >= settings.live_max_streams:
            await session.refuse(Overloaded("too many streams are open; try again"), FULL)
            return
        open_streams.add(session)
        metrics.streams.set(len(open_streams))
        try:
            await session.run()
        finally:
            open_streams.discard(session)
            metrics.streams.set(len(open_streams))

    router.add_api_websocket_route("/stream", stream)
    return router

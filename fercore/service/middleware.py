"""What happens around every HTTP request: its id, its metrics, its last resort.

Pure ASGI, so that streaming and WebSockets pass through untouched.
"""

import logging
import re
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fercore.contracts.errors import InternalError
from fercore.service.errors import problem_response
from fercore.service.logging import request_id_var
from fercore.service.metrics import Metrics
from fercore.service.tracing import Tracing

REQUEST_ID_HEADER = "X-Request-ID"
_CLIENT_CLOSED_REQUEST = 499
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

logger = logging.getLogger(__name__)


def request_id_of(headers: Headers) -> str:
    """Return the caller's own request id if it can stand in a log, otherwise a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _SAFE_ID.fullmatch(given) else uuid4().hex


class WithoutTrailingSlash:
    """Takes `/predict/` for `/predict`: many clients do not follow the redirect of a POST."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if len(path) > 1 and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/") or "/"}
        await self._app(scope, receive, send)


class RequestScope:
    """Names requests and streams; times and counts requests, and answers `internal` when all else failed."""

    def __init__(self, app: ASGIApp, *, service: str, metrics: Metrics) -> None:
        self._app = app
        self._service = service
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(Headers(scope=scope))
        token = request_id_var.set(request_id)
        try:
            if scope["type"] == "http":
                await self._serve(scope, receive, send, request_id)
            else:
                await self._app(scope, receive, send)
        finally:
            request_id_var.reset(token)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        start = perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_CLOSED_REQUEST
        except Exception:  # the top handler: the last of the three allowed
            logger.exception("a request failed")
            if status is None:
                await problem_response(InternalError(), instance=scope["path"])(scope, receive, send_with_id)
            status = 500
        finally:
            self._record(scope, status or _CLIENT_CLOSED_REQUEST, perf_counter() - start)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        labels = (self._service, route, str(status))
        self._metrics.requests.labels(*labels).inc()
        self._metrics.request_duration.labels(*labels).observe(seconds)
        if route not in _PROBES:
            logger.debug(
                "request", extra={"route": route, "status": status, "duration_ms": round(seconds * 1000, 2)}
            )


class TraceScope:
    """Opens a span for each request but probes, the child of the caller's `traceparent` if there is one."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        parent = Headers(scope=scope).get("traceparent", "")
        request_id = request_id_var.get() or ""
        with self._tracing.span(scope["method"], kind="server", parent=parent, request_id=request_id) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.note(status=message["status"])
                await send(message)

            try:
                await self._app(scope, receive, send_and_note)
            finally:
                span.rename(f"{scope['method']} {getattr(scope.get('route'), 'path', 'unmatched')}")

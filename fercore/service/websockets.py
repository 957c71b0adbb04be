"""How a WebSocket ends under uvicorn: by a close handshake, or in bounded time by an abort.

Uvicorn alone would keep a client that reads nothing connected without limit, and would end
all streams at shutdown before they could send anything more.
"""

from typing_extensions import override
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

SERVICE_RESTART = 1012
"""The code with which `receive` says that the server shuts down; the stream may still send and close."""

CLOSE_TIMEOUT_S = 3.0
"""The client's time to answer a close frame; then the connection is cut. Shorter than the default drain."""


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One connection; every way to its end takes bounded time."""

    @override
    def handle_parser_exception(self) -> None:
        """Close: the message is too large, or breaks the protocol."""
        super().handle_parser_exception()
        self._cut_later()

    @override
    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        if self.close_sent:
            self.transport.abort()

    @override
    async def send(self, message: ASGISendEvent) -> None:
        """Send; a close does not wait for a client that reads nothing."""
        is_close = self.handshake_complete and message["type"] == "websocket.close"
        if self.close_sent and self.handshake_complete:
            raise ClientDisconnected
        if is_close:
            self.writable.set()
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # it was refused in order, which uvicorn would log as an error
        if is_close and self.close_timer is not None:
            self._cut_later()

    @override
    def shutdown(self) -> None:
        """Notify the stream, which then sends its stats and closes; uvicorn bounds the wait."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": SERVICE_RESTART, "reason": ""})
        else:
            super().shutdown()

    def _cut_later(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

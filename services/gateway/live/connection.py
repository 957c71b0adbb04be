"""The client's end of a live stream: messages go out in bounded time, and the close says why it ends.

Knows neither pipeline nor frames.
"""

import asyncio
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from fercore.contracts.errors import FerError
from fercore.contracts.live import StreamError, StreamStats


@dataclass(frozen=True, slots=True)
class Close:
    """How the server ends a stream; codes of RFC 6455, section 7.4.1, and 1013 of IANA's registry."""

    code: int
    reason: str
    is_read: bool = True


DONE = Close(1000, "stopped")
IDLE = Close(1000, "idle")
DRAIN = Close(1001, "the server shuts down")
FULL = Close(1013, "overloaded")
TOO_SLOW = Close(1013, "the client does not read", is_read=False)
INTERNAL = Close(1011, "an internal error occurred")


class TooSlow(Exception):
    """The client did not read in time."""


class Connection:
    """A WebSocket, already accepted, as the server writes to it.

    Args:
        socket: the client.
        stream_id: begins the request id of every error.
        send_timeout_s: for a client that is slow to read.
    """

    def __init__(self, socket: WebSocket, stream_id: str, *, send_timeout_s: float) -> None:
        self._socket = socket
        self._id = stream_id
        self._send_timeout_s = send_timeout_s

    async def send(self, message: BaseModel) -> None:
        """Send a message.

        Raises:
            TooSlow: the client did not read in time.
            WebSocketDisconnect: the client is gone.
        """
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self._socket.send_text(message.model_dump_json())
        except TimeoutError as err:
            raise TooSlow from err

    async def send_error(self, fault: FerError, seq: int | None) -> None:
        """Send an error of one frame, or of the stream if `seq` is None; raises as `send` does."""
        request_id = self._id if seq is None else f"{self._id}-{seq}"
        await self.send(StreamError(seq=seq, code=fault.code, detail=fault.detail, request_id=request_id))

    async def close(self, closing: Close, stats: StreamStats) -> None:
        """Send the stats, unless nobody reads them, and close; never raises for a client that is gone."""
        try:
            if closing.is_read:
                await self.send(stats)
        except TooSlow:
            closing = TOO_SLOW
        except (WebSocketDisconnect, WebSocketDisconnected):
            return
        try:
            await self._socket.close(closing.code, closing.reason)
        except (WebSocketDisconnect, WebSocketDisconnected):
            return

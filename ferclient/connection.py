"""One WebSocket to `/stream`: opened with the options, read message by message, leniently.

It decides which ends of a connection mean that the server may come back.
"""

import asyncio
import json
from contextlib import suppress
from typing import Self, TypeAlias

import httpx
from pydantic import BaseModel, ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ferclient.calls import USER_AGENT, refusal
from ferclient.errors import Refused, StreamClosed, UnreadableAnswer, reason_of
from fercore.contracts.live import (
    SERVER_MESSAGE,
    Alert,
    Dropped,
    Started,
    StreamError,
    StreamOptions,
    StreamResult,
    StreamStats,
)

AWAY_CODES = frozenset({1000, 1001, 1006, 1011, 1012, 1013})
"""Close codes after which a server may be asked again: idle, going away, none, fault, restart, try later."""

PASSING = frozenset({"overloaded", "not_ready", "upstream_unavailable", "rate_limited", "deadline_exceeded"})
"""Codes of problems after which the same request may well be served."""

AWAY_STATUSES = frozenset({429, 502, 503, 504})
CLOSE_TIMEOUT_S = 2.0
ABNORMAL_CLOSURE = 1006

Message: TypeAlias = Started | StreamResult | Dropped | StreamError | Alert | StreamStats


class Unreadable(BaseModel):
    """What is left of a message that this client does not know."""

    type: str = ""
    seq: int | None = None
    code: str = "unreadable_answer"
    detail: str = "the client cannot read this answer"
    request_id: str = ""


class ServerAway(Exception):
    """The connection cannot be made or has ended, and it is worth another try."""

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(reason)
        self.close_code = close_code
        self.reason = reason


class Connection:
    """An open stream; `session_id` is that of a recorded one."""

    def __init__(self, socket: ClientConnection, session_id: str | None) -> None:
        self._socket = socket
        self.session_id = session_id

    @classmethod
    async def open(cls, url: str, options: StreamOptions, *, timeout_s: float) -> Self:
        """Connect and have the options accepted.

        Raises:
            ServerAway: nobody answers, or not yet.
            Refused: the server does not accept the options.
            StreamClosed: it does not accept the stream.
            UnreadableAnswer: something else answers there.
        """
        address = f"{url}/stream".replace("http", "ws", 1)
        try:
            socket = await connect(
                address,
                compression=None,
                open_timeout=timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                user_agent_header=USER_AGENT,
            )
        except InvalidStatus as err:
            status, body = err.response.status_code, bytes(err.response.body or b"")
            fault = refusal(status, httpx.codes.get_reason_phrase(status), body)
            if status in AWAY_STATUSES:
                raise ServerAway(ABNORMAL_CLOSURE, str(fault)) from err
            raise fault from err
        except InvalidHandshake as err:
            raise UnreadableAnswer(f"{address} is no stream: {err}") from err
        except TimeoutError as err:
            raise ServerAway(ABNORMAL_CLOSURE, f"no answer in {timeout_s:g} s") from err
        except OSError as err:
            raise ServerAway(ABNORMAL_CLOSURE, reason_of(err)) from err
        connection = cls(socket, None)
        try:
            async with asyncio.timeout(timeout_s):
                await connection._start(options)
        except TimeoutError as err:
            await connection.close()
            raise ServerAway(ABNORMAL_CLOSURE, f"the stream did not start in {timeout_s:g} s") from err
        except BaseException:
            await connection.close()
            raise
        return connection

    async def send_image(self, image: bytes) -> None:
        """Send a frame; raises as `receive` does when the connection has ended."""
        try:
            await self._socket.send(image)
        except ConnectionClosed as err:
            raise _end_of(err) from err

    async def send_stop(self) -> None:
        """Announce that no frame will come; raises as `receive` does when the connection has ended."""
        try:
            await self._socket.send('{"type":"stop"}')
        except ConnectionClosed as err:
            raise _end_of(err) from err

    async def receive(self) -> Message | Unreadable:
        """Wait for the next message.

        Raises:
            ServerAway: the connection has ended, and the server may come back.
            StreamClosed: it has ended for good.
        """
        try:
            text = await self._socket.recv()
        except ConnectionClosed as err:
            raise _end_of(err) from err
        try:
            return SERVER_MESSAGE.validate_json(text, extra="ignore")
        except ValidationError:
            with suppress(ValidationError):
                return Unreadable.model_validate_json(text)
            return Unreadable()

    async def close(self) -> None:
        """Close it by a handshake, or in bounded time without one."""
        await self._socket.close()

    async def _start(self, options: StreamOptions) -> None:
        chosen = options.model_dump(mode="json", exclude_unset=True)
        try:
            await self._socket.send(json.dumps({**chosen, "type": "start"}))
        except ConnectionClosed as err:
            raise _end_of(err) from err
        while True:
            match await self.receive():
                case Started(session_id=session_id):
                    self.session_id = session_id
                    return
                case StreamError() | Unreadable(type="error") as error:
                    if error.code in PASSING:
                        raise ServerAway(ABNORMAL_CLOSURE, error.detail)
                    raise Refused(error.code, error.detail, request_id=error.request_id)


def _end_of(closed: ConnectionClosed) -> ServerAway | StreamClosed:
    code = ABNORMAL_CLOSURE if closed.rcvd is None else closed.rcvd.code
    reason = "" if closed.rcvd is None else closed.rcvd.reason
    if code in AWAY_CODES:
        return ServerAway(code, f"the connection broke ({code} {reason})".replace(" )", ")"))
    return StreamClosed(code, reason)

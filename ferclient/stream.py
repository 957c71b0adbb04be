"""A live stream: frames go out as fast as they are answered, lost connections are made again."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from typing import Generic, Self

from ferclient.connection import PASSING, Connection, ServerAway, Unreadable
from ferclient.errors import Refused, StreamClosed, Unreachable
from ferclient.events import Event, Frame, FrameDropped, FrameFailed, FrameResult, Reconnected
from ferclient.patience import Patience
from ferclient.window import Pending, Window
from fercore.contracts.live import Alert, Dropped, StreamError, StreamOptions, StreamResult, StreamStats

MAX_UNREAD_EVENTS = 16
END_OF_READING_S = 2.0
"""A source that is being read cannot be stopped: leaving the stream waits so long for it."""


class _Run(Generic[Frame]):
    """One use of a stream: what goes out and what comes back; None is the end."""

    def __init__(self, *, is_lossless: bool) -> None:
        self.is_lossless = is_lossless
        self.window: Window[Frame] = Window(is_lossless=is_lossless)
        self.events: asyncio.Queue[Event[Frame] | Exception | None] = asyncio.Queue(MAX_UNREAD_EVENTS)


class Stream:
    """One stream of frames; made by `AsyncClient.stream`, entered with `async with`.

    Args:
        url: of the server.
        options: sent at every (re)connection.
        timeout_s: to connect once.
        patience_s: to connect again, and to have one frame answered by a busy server.

    Attributes:
        session_id: of the recorded session; changes with a `Reconnected` event.
    """

    def __init__(self, url: str, options: StreamOptions, *, timeout_s: float, patience_s: float) -> None:
        self._url = url
        self._options = options
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._patience: Patience | None = None
        self._connected_at = 0.0
        self._connection: Connection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.session_id: str | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Refused: the server does not accept the options.
            StreamClosed: it does not accept the stream.
            Unreachable: nobody answers there.
            UnreadableAnswer: something else answers there.
        """
        await self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end_tasks()
        if self._connection is not None:
            await self._connection.close()

    async def frames(
        self,
        source: AsyncIterable[tuple[Frame, bytes]] | Iterable[tuple[Frame, bytes]],
        *,
        is_lossless: bool = False,
    ) -> AsyncGenerator[Event[Frame], None]:
        """Send frames and yield what becomes of them, until the source ends; can be used once.

        Live (the default), the newest frame wins: the source is read as fast as it gives, and what is newer
        replaces what could not be sent yet. Lossless, the source has to wait instead, and a frame that was
        lost with the connection, or that a busy server refused, is sent again; results may then come in
        another order. Either way each frame that was sent has one event, and at most two are unanswered.

        Args:
            source: pairs of a frame, as the caller calls it, and its encoded image. One that is not
                asynchronous is read in a thread.
            is_lossless: for recordings.

        Raises:
            StreamClosed: the server ended the stream for good.
            Unreachable: the server went away and did not come back in time.
            Refused: it came back and does not accept the options any more.
            Exception: whatever the source raises.
        """
        run: _Run[Frame] = _Run(is_lossless=is_lossless)
        self._tasks = {
            asyncio.create_task(_feed(source, run)),
            asyncio.create_task(self._talk(run)),
        }
        try:
            while (event := await run.events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            await self._end_tasks()

    async def _talk(self, run: _Run[Frame]) -> None:
        try:
            while True:
                try:
                    await self._exchange(run)
                    break
                except ServerAway as away:
                    left_at = time.monotonic()
                    if left_at - self._connected_at > self._patience_s:
                        self._patience = None  # it was there for long, if only idle
                    for frame in await run.window.connection_lost():
                        await run.events.put(FrameFailed(frame, "connection_lost", away.reason))
                    await self._connect(away)
                    away_s = time.monotonic() - left_at
                    await run.events.put(Reconnected(away.close_code, self.session_id, away_s))
            await run.events.put(None)
        except Exception as err:  # noqa: BLE001  # raised again where the caller is, who would wait for ever
            await run.events.put(err)

    async def _exchange(self, run: _Run[Frame]) -> None:
        """Send and receive on one connection until all is answered and the stats have come."""
        connection = self._connection
        if connection is None:
            raise RuntimeError("enter the stream first: `async with client.stream() as stream`")
        sending = asyncio.create_task(_send(run.window, connection))
        try:
            while True:
                message = await connection.receive()
                match message:
                    case StreamStats() if sending.done():
                        await run.events.put(message)
                        return
                    case Alert():
                        await run.events.put(message)
                    case StreamError(seq=None) if message.code not in PASSING:
                        raise Refused(message.code, message.detail, request_id=message.request_id)
                    case StreamResult() | Dropped() | StreamError() | Unreadable():
                        self._patience = None  # it serves again: a new loss begins with new patience
                        if message.seq is not None:
                            await self._settle(message.seq, message, run)
        except (ServerAway, StreamClosed):
            if sending.done() and not sending.cancelled() and sending.exception() is None:
                return  # all was answered; only the stats are missing
            raise
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, ServerAway, StreamClosed):
                await sending

    async def _settle(
        self, seq: int, message: StreamResult | Dropped | StreamError | Unreadable, run: _Run[Frame]
    ) -> None:
        """Report what became of a frame, or send it again."""
        pending = run.window.unanswered(seq)
        if pending is None:
            return  # no frame of ours
        if run.is_lossless and (wait_s := self._wait_s(pending, message)) is not None:
            await asyncio.sleep(wait_s)
            await run.window.send_again(seq)
            return
        await run.window.settle(seq)
        match message:
            case StreamResult():
                await run.events.put(FrameResult(pending.frame, message))
            case Dropped():
                await run.events.put(FrameDropped(pending.frame))
            case _:
                await run.events.put(
                    FrameFailed(pending.frame, message.code, message.detail, message.request_id)
                )

    def _wait_s(
        self, pending: Pending[Frame], message: StreamResult | Dropped | StreamError | Unreadable
    ) -> float | None:
        """Return the seconds after which a frame may be sent again; None: what came is final."""
        if isinstance(message, Dropped):
            return 0.0
        if isinstance(message, StreamResult) or message.code not in PASSING:
            return None
        pending.patience = pending.patience or Patience(self._patience_s)
        return pending.patience.next_wait_s()

    async def _connect(self, away: ServerAway | None = None) -> None:
        """Connect; after a loss, or when nobody answers, with waits between the tries."""
        self._patience = self._patience or Patience(self._patience_s)
        while True:
            if away is not None:
                wait_s = self._patience.next_wait_s()
                if wait_s is None:
                    raise Unreachable(self._url, away.reason) from away
                await asyncio.sleep(wait_s)
            try:
                self._connection = await Connection.open(self._url, self._options, timeout_s=self._timeout_s)
            except ServerAway as err:
                away = err
            else:
                self._connected_at = time.monotonic()
                self.session_id = self._connection.session_id
                return

    async def _end_tasks(self) -> None:
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(window: Window[Frame], connection: Connection) -> None:
    while (image := await window.next_image()) is not None:
        await connection.send_image(image)
    await connection.send_stop()


async def _feed(
    source: AsyncIterable[tuple[Frame, bytes]] | Iterable[tuple[Frame, bytes]], run: _Run[Frame]
) -> None:
    frames = source if isinstance(source, AsyncIterable) else _read_in_thread(source)
    try:
        async for frame, image in frames:
            await run.window.put(frame, image)
    except Exception as err:  # noqa: BLE001  # the caller's own source; raised again where the caller is
        await run.events.put(err)
    else:
        await run.window.end()


async def _read_in_thread(source: Iterable[tuple[Frame, bytes]]) -> AsyncIterator[tuple[Frame, bytes]]:
    iterator = iter(source)
    while True:
        reading = asyncio.ensure_future(asyncio.to_thread(next, iterator, None))
        try:
            item = await asyncio.shield(reading)
        except asyncio.CancelledError:
            await asyncio.wait([reading], timeout=END_OF_READING_S)
            raise
        if item is None:
            return
        yield item

"""A receiver of webhooks for tests: a small HTTP server in this event loop, with or without a certificate.

It answers what the test chooses and keeps what it was sent.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Received:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Answers with `statuses` in turn, then 200; 0 is no answer at all.

    Of `promised_bytes` of each answer's body it sends nothing.
    """

    def __init__(self, *statuses: int, promised_bytes: int = 0) -> None:
        self.statuses = list(statuses)
        self.received: list[Received] = []
        self.port = 0
        self._promised_bytes = promised_bytes
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(Received(line, headers, body))
            status = self.statuses.pop(0) if self.statuses else 200
            if not status:
                await asyncio.Event().wait()
            location = f"location: http://127.0.0.1:{self.port}/elsewhere\r\n" if 300 <= status < 400 else ""
            answer = f"HTTP/1.1 {status} X\r\n{location}content-length: {self._promised_bytes}\r\n\r\n"
            writer.write(answer.encode())
            await writer.drain()
        writer.close()

    def drop_all(self) -> None:
        for task in self._open:
            task.cancel()


@asynccontextmanager
async def receiving(receiver: Receiver, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Listen on a free port of 127.0.0.1 until the block ends."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.drop_all()
        server.close()
        await server.wait_closed()

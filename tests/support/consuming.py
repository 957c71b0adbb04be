"""Consume loops for tests: run one, send it work, await what comes of it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fercore.contracts.errors import FerError
from fercore.messaging.consume import ConsumerOptions, consume
from fercore.messaging.handler import Outcome, Reply
from fercore.messaging.queue import FRAMES, Backlog, Channel, Ending, Envelope, Queue, ReceivedMessage


class Counts:
    """An observer that counts."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.streams: list[str] = []
        self.depth: int | None = None

    def work_begins(self, stream: str) -> None:
        self.streams.append(stream)

    def messages_ended(self, stream: str, outcome: str, count: int) -> None:
        assert stream == FRAMES.stream
        if count:
            self.ended[outcome] += count

    def backlog_changed(self, stream: str, backlog: Backlog) -> None:
        self.depth = backlog.depth


def encode_error(fault: FerError) -> bytes:
    return fault.code.encode()


async def echo(messages: Sequence[ReceivedMessage]) -> Sequence[Outcome]:
    return [Reply(message.envelope.body) for message in messages]


@asynccontextmanager
async def consuming(
    queue, handle, *, counts=None, worker_id="w1", **options
) -> AsyncIterator[asyncio.Task[None]]:
    settings = ConsumerOptions(
        offer=lambda: b"offer",
        encode_error=encode_error,
        observer=counts or Counts(),
        worker_id=worker_id,
        **{"max_batch": 1, "concurrency": 1} | options,
    )
    task = asyncio.create_task(consume(queue, FRAMES, handle, settings))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=20)
    if not task.cancelled():
        task.result()


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


async def replies(queue, n: int) -> list[Envelope]:
    got: list[Envelope] = []
    deadline = time.monotonic() + 20
    while len(got) < n:
        assert time.monotonic() < deadline, f"only {len(got)} of {n} replies came"
        got += await queue.receive_replies("gateway", wait_ms=100)
    return got


async def send(queue, *bodies: bytes, time_left_ms: float = 60_000) -> None:
    for number, body in enumerate(bodies):
        deadline_ms = queue.now_ms() + time_left_ms
        await queue.publish(FRAMES, Envelope(f"r{number}", "gateway", deadline_ms, body, trace="00-ab-cd-01"))


async def die(task: asyncio.Task[None]) -> None:
    """End a loop as if its process were killed: it neither finishes its work nor withdraws."""
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=20)
    assert task.cancelled()


async def settle(
    queue: Queue,
    message: ReceivedMessage,
    *,
    forward: tuple[Channel, Envelope] | None = None,
    reply: Envelope | None = None,
) -> bool:
    """End one message."""
    return (await queue.settle([Ending(message, forward, reply)]))[0]


async def bury(queue: Queue, message: ReceivedMessage, reason: str, *, reply: Envelope | None = None) -> bool:
    """End one message as dead."""
    return (await queue.settle([Ending(message, None, reply, reason)]))[0]

"""Messages for the tests that every queue must pass."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from fercore.messaging.queue import FRAMES, Envelope, Queue, ReceivedMessage


def envelope(
    queue: Queue, body: bytes = b"body", *, request_id: str = "r", left_ms: float = 60_000
) -> Envelope:
    return Envelope(request_id, "gateway", queue.now_ms() + left_ms, body, trace="00-aa-bb-01")


async def receive(
    queue: Queue, worker_id: str, *, max_n: int = 10, wait_ms: int = 0
) -> list[ReceivedMessage]:
    got = await queue.receive(FRAMES, worker_id, max_n=max_n, wait_ms=wait_ms)
    # The first call may only make the group.
    return got or await queue.receive(FRAMES, worker_id, max_n=max_n, wait_ms=wait_ms)


async def eventually(check: Callable[[], Awaitable[bool]], timeout_s: float = 20.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not await check():
        assert time.monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.02)


async def claimed(queue: Queue, worker_id: str) -> list[ReceivedMessage]:
    """Take over as soon as there is something from the dead."""
    taken: list[ReceivedMessage] = []

    async def check() -> bool:
        taken.extend((await queue.claim(FRAMES, worker_id, max_n=10)).messages)
        return bool(taken)

    await eventually(check)
    return taken

"""What only the in-memory queue promises; all else stands in the conformance suite."""

from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.queue import FACES, FRAMES, STREAM_MAXLEN, Envelope
from tests.support.consuming import settle


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1000.0

    def __call__(self) -> float:
        return self.now_ms


def envelope(body: bytes = b"pixels", deadline_ms: float = 1e9) -> Envelope:
    return Envelope("request", "gateway", deadline_ms, body)


async def test_a_body_is_passed_on_by_reference_and_never_copied():
    queue, body = InMemoryQueue(), b"x" * 1000
    await queue.publish(FRAMES, envelope(body))
    [message] = await queue.receive(FRAMES, "worker", max_n=1, wait_ms=0)
    assert message.envelope.body is body
    await settle(queue, message, forward=(FACES, message.envelope))
    [forwarded] = await queue.receive(FACES, "worker", max_n=1, wait_ms=0)
    assert forwarded.envelope.body is body
    await settle(queue, forwarded, reply=forwarded.envelope)
    [reply] = await queue.receive_replies("gateway", wait_ms=0)
    assert reply.body is body


async def test_a_worker_is_dead_when_its_heartbeat_has_expired():
    clock = Clock()
    queue = InMemoryQueue(clock_ms=clock)
    await queue.heartbeat("detector", "worker", b"yunet")
    clock.now_ms += 1499
    assert await queue.offers("detector") == {"worker": b"yunet"}
    clock.now_ms += 1
    assert await queue.offers("detector") == {}


async def test_replies_that_nobody_reads_are_forgotten_after_a_minute():
    clock = Clock()
    queue = InMemoryQueue(clock_ms=clock)
    await queue.publish(FRAMES, envelope())
    [message] = await queue.receive(FRAMES, "worker", max_n=1, wait_ms=0)
    await settle(queue, message, reply=envelope())
    clock.now_ms += 60_000
    assert await queue.receive_replies("gateway", wait_ms=0) == []


async def test_a_stream_that_nobody_reads_has_a_fuse():
    queue = InMemoryQueue()
    for _ in range(STREAM_MAXLEN + 5):
        await queue.publish(FRAMES, envelope())
    assert (await queue.backlog(FRAMES)).depth == STREAM_MAXLEN

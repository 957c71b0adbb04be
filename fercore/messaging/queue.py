"""The seam between the services and whatever moves their messages.

A body is opaque here. `memory.InMemoryQueue` and `redis_streams.RedisStreams` fill the seam and pass one
conformance suite (`tests/contract/test_queue_conformance.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

ENVELOPE_VERSION = 1

MAX_ATTEMPTS = 2
"""A message delivered more often than this killed its workers: it is dead, not retried."""

WORKER_KEY_TTL_MS = 1500
"""A worker without a heartbeat for this long is dead, and its messages may be claimed."""

REPLY_STREAM_TTL_MS = 60_000

WORK_STREAM_TTL_MS = 120_000
"""A stream expires so long after its last message; twice the longest deadline."""

STREAM_MAXLEN = 10_000
"""Only a fuse: admission at the gateway keeps streams far shorter."""

DEAD_STREAM = "fer:dead"
DEAD_STREAM_MAXLEN = 1000


@dataclass(frozen=True, slots=True)
class Channel:
    """A stream of work and the one service that consumes it (its consumer group has that name)."""

    stream: str
    service: str


FRAMES = Channel("fer:frames", "detector")
FACES = Channel("fer:faces", "classifier")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message: routing fields and an opaque body, so that an unreadable body can still be answered.

    Attributes:
        request_id: the caller's, unique per image.
        reply_to: the gateway's random id; its reply stream is `fer:reply:<reply_to>`.
        deadline_ms: in the queue's clock (`Queue.now_ms`).
        body: msgpack, see `fercore.contracts.messages`.
        trace: W3C traceparent, or empty.
        sent_ms: the queue's clock when it was published; stamped by the queue.
    """

    request_id: str
    reply_to: str
    deadline_ms: float
    body: bytes
    trace: str = ""
    sent_ms: float = 0.0

    @property
    def caller_id(self) -> str:
        """The request's id as its caller knows it: without what made it unique, after a slash."""
        return self.request_id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One message in the hands of one worker; it ends by exactly one `settle`, or is claimed by another.

    Attributes:
        envelope: None when the fields are no envelope of this version; then `fields` is all there is.
        fields: the raw fields as they came, the body among them.
        attempts: how many times it was handed out, this time included.
    """

    channel: Channel
    message_id: str
    envelope: Envelope | None
    fields: Mapping[str, bytes]
    attempts: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How one message ends: forwarded or answered or neither, and as dead if there is a `dead_reason`."""

    message: ReceivedMessage
    forward: tuple[Channel, Envelope] | None = None
    reply: Envelope | None = None
    dead_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was claimed from dead workers, and how many messages were dropped past their deadline."""

    messages: list[ReceivedMessage]
    expired: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a channel still has to do.

    Attributes:
        depth: messages that wait or are in hand.
        oldest_ms: how long ago the oldest of them was published; 0 where there is none.
    """

    depth: int
    oldest_ms: float


class Queue(Protocol):
    """Streams with consumer groups, reply streams and heartbeats of workers.

    Every awaitable raises `UpstreamUnavailable` when the broker cannot be reached or does not answer
    in time; it never hangs. After a broker restart groups are made again without anybody's help.
    """

    def now_ms(self) -> float:
        """Return the time in the queue's own clock, the same for all processes on it, in milliseconds."""
        ...

    async def ping(self) -> None:
        """Return when the broker answers (and the clock is set)."""
        ...

    async def publish(self, channel: Channel, envelope: Envelope) -> None:
        """Append one message."""
        ...

    async def receive(
        self, channel: Channel, worker_id: str, *, max_n: int, wait_ms: int
    ) -> list[ReceivedMessage]:
        """Take up to `max_n` new messages for this worker; an empty list when none came in `wait_ms`."""
        ...

    async def claim(self, channel: Channel, worker_id: str, *, max_n: int) -> Claimed:
        """Claim up to `max_n` messages whose worker is dead; drop pending ones past their deadline.

        Consumer names of dead workers with nothing pending are removed.
        """
        ...

    async def settle(self, endings: Sequence[Ending]) -> list[bool]:
        """End many messages on one way to the broker; each is a transaction of its own.

        Returns:
            For each, whether it was still this worker's to end; False where another took it over.
        """
        ...

    async def heartbeat(self, service: str, worker_id: str, offer: bytes) -> None:
        """Renew this worker's key, which lives for `WORKER_KEY_TTL_MS` and holds what the worker offers."""
        ...

    async def withdraw(self, channel: Channel, worker_id: str) -> None:
        """Delete this worker's key, and its consumer name if it holds nothing."""
        ...

    async def offers(self, service: str) -> dict[str, bytes]:
        """Return the offers of all live workers of a service, by worker id."""
        ...

    async def receive_replies(self, reply_to: str, *, wait_ms: int) -> list[Envelope]:
        """Take (read and delete) the replies for one gateway; an empty list when none came in time."""
        ...

    async def backlog(self, channel: Channel) -> Backlog:
        """Return how many messages are waiting or in hand, and for how long."""
        ...

    async def close(self) -> None:
        """Close the connections; nothing may be called afterwards."""
        ...

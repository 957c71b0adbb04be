"""The queue of the all-in-one process and of tests: what Redis does, in one event loop, without a thread.

Bodies are passed on by reference, never copied.
"""

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fercore.messaging.clock import monotonic_ms
from fercore.messaging.envelope import dead_record, from_fields, to_fields
from fercore.messaging.queue import (
    DEAD_STREAM_MAXLEN,
    REPLY_STREAM_TTL_MS,
    STREAM_MAXLEN,
    WORKER_KEY_TTL_MS,
    Backlog,
    Channel,
    Claimed,
    Ending,
    Envelope,
    ReceivedMessage,
)


@dataclass(slots=True)
class _Stream:
    """Messages that wait, messages in hand by message id, and the names of those who ever received."""

    waiting: deque[ReceivedMessage] = field(default_factory=deque)
    pending: dict[str, tuple[str, ReceivedMessage]] = field(default_factory=dict)
    consumers: set[str] = field(default_factory=set)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Replies:
    """Replies for one gateway; nothing is left of them after `expires_ms`."""

    expires_ms: float = 0.0
    waiting: list[Envelope] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class InMemoryQueue:
    """The `Queue` protocol within one event loop.

    Args:
        clock_ms: a monotonic clock; tests set their own to let time pass.
    """

    def __init__(self, *, clock_ms: Callable[[], float] = monotonic_ms) -> None:
        self._clock_ms = clock_ms
        self._numbers = itertools.count(1)
        self._streams: defaultdict[str, _Stream] = defaultdict(_Stream)
        self._replies: defaultdict[str, _Replies] = defaultdict(_Replies)
        self._workers: dict[tuple[str, str], tuple[float, bytes]] = {}
        self._dead: deque[dict[str, bytes]] = deque(maxlen=DEAD_STREAM_MAXLEN)

    @property
    def dead(self) -> list[dict[str, bytes]]:
        """The records of dead messages, oldest first."""
        return list(self._dead)

    def now_ms(self) -> float:
        """Return the monotonic clock."""
        return self._clock_ms()

    async def ping(self) -> None:
        """Return: the broker is this process."""

    async def publish(self, channel: Channel, envelope: Envelope) -> None:
        """Append one message."""
        await self.append(channel, to_fields(envelope, sent_ms=self.now_ms()))

    async def append(self, channel: Channel, fields: Mapping[str, bytes]) -> None:
        """Append fields as they are, be they an envelope or not."""
        stream = self._streams[channel.stream]
        message_id = f"{int(self.now_ms())}-{next(self._numbers)}"  # as Redis: when, and a number
        stream.waiting.append(ReceivedMessage(channel, message_id, from_fields(fields), fields, attempts=0))
        if len(stream.waiting) > STREAM_MAXLEN:
            stream.waiting.popleft()
        stream.arrived.set()

    async def receive(
        self, channel: Channel, worker_id: str, *, max_n: int, wait_ms: int
    ) -> list[ReceivedMessage]:
        """Take up to `max_n` new messages, waiting up to `wait_ms` for the first."""
        stream = self._streams[channel.stream]
        stream.consumers.add(worker_id)
        await _wait_for(stream, wait_ms)
        taken = [stream.waiting.popleft() for _ in range(min(max_n, len(stream.waiting)))]
        return [self._hand_out(stream, worker_id, message) for message in taken]

    async def claim(self, channel: Channel, worker_id: str, *, max_n: int) -> Claimed:
        """Claim from dead workers, drop what is past its deadline, forget names that hold nothing."""
        stream, now_ms = self._streams[channel.stream], self.now_ms()
        living = {*self._living(channel.service), worker_id}
        taken: list[ReceivedMessage] = []
        expired = 0
        for message_id, (holder, message) in list(stream.pending.items()):
            if message.envelope is not None and now_ms >= message.envelope.deadline_ms:
                del stream.pending[message_id]
                expired += 1
            elif holder not in living and len(taken) < max_n:
                taken.append(self._hand_out(stream, worker_id, message))
        stream.consumers &= living | {holder for holder, _ in stream.pending.values()}
        return Claimed(taken, expired)

    async def settle(self, endings: Sequence[Ending]) -> list[bool]:
        """End many messages."""
        return [await self._end(ending) for ending in endings]

    async def heartbeat(self, service: str, worker_id: str, offer: bytes) -> None:
        """Renew the worker's key for `WORKER_KEY_TTL_MS`."""
        self._workers[service, worker_id] = (self.now_ms() + WORKER_KEY_TTL_MS, offer)

    async def withdraw(self, channel: Channel, worker_id: str) -> None:
        """Delete the worker's key."""
        self._workers.pop((channel.service, worker_id), None)
        stream = self._streams[channel.stream]
        if all(holder != worker_id for holder, _ in stream.pending.values()):
            stream.consumers.discard(worker_id)

    async def offers(self, service: str) -> dict[str, bytes]:
        """Return the offers of live workers."""
        return self._living(service)

    async def receive_replies(self, reply_to: str, *, wait_ms: int) -> list[Envelope]:
        """Take all replies for one gateway, waiting up to `wait_ms` for the first."""
        self._forget_old_replies()
        replies = self._replies[reply_to]
        replies.expires_ms = self.now_ms() + wait_ms + REPLY_STREAM_TTL_MS
        await _wait_for(replies, wait_ms)
        taken, replies.waiting = replies.waiting, []
        return taken

    async def backlog(self, channel: Channel) -> Backlog:
        """Return how many messages are waiting or in hand, and for how long."""
        stream = self._streams[channel.stream]
        ids = [*stream.pending, *(message.message_id for message in stream.waiting)]
        published_ms = min((int(message_id.split("-")[0]) for message_id in ids), default=None)
        oldest_ms = 0.0 if published_ms is None else max(0.0, self.now_ms() - published_ms)
        return Backlog(len(ids), oldest_ms)

    async def close(self) -> None:
        """Forget everything."""
        self._streams.clear()
        self._replies.clear()
        self._workers.clear()

    async def _end(self, ending: Ending) -> bool:
        message = ending.message
        if self._streams[message.channel.stream].pending.pop(message.message_id, None) is None:
            return False
        if ending.forward is not None:
            await self.publish(*ending.forward)
        if ending.reply is not None:
            self._reply(ending.reply)
        if ending.dead_reason is not None:
            self._dead.append(dead_record(message, ending.dead_reason))
        return True

    def _hand_out(self, stream: _Stream, worker_id: str, message: ReceivedMessage) -> ReceivedMessage:
        handed_out = replace(message, attempts=message.attempts + 1)
        stream.pending[message.message_id] = (worker_id, handed_out)
        return handed_out

    def _living(self, service: str) -> dict[str, bytes]:
        now_ms = self.now_ms()
        self._workers = {key: worker for key, worker in self._workers.items() if worker[0] > now_ms}
        return {
            worker_id: offer for (name, worker_id), (_, offer) in self._workers.items() if name == service
        }

    def _reply(self, reply: Envelope) -> None:
        self._forget_old_replies()
        replies = self._replies[reply.reply_to]
        replies.expires_ms = self.now_ms() + REPLY_STREAM_TTL_MS
        replies.waiting.append(replace(reply, sent_ms=self.now_ms()))
        replies.arrived.set()

    def _forget_old_replies(self) -> None:
        now_ms = self.now_ms()
        for reply_to in [name for name, replies in self._replies.items() if replies.expires_ms <= now_ms]:
            del self._replies[reply_to]


async def _wait_for(source: _Stream | _Replies, wait_ms: int) -> None:
    """Return when something is waiting, or after `wait_ms`."""
    try:
        async with asyncio.timeout(wait_ms / 1000):
            while not source.waiting:
                source.arrived.clear()
                await source.arrived.wait()
    except TimeoutError:
        return

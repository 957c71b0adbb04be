"""The one consume loop: receive, hand to the service's handler, end each message exactly once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import uuid4

from fercore.contracts.errors import FerError, InternalError
from fercore.messaging.envelope import return_address
from fercore.messaging.handler import Dead, Forward, Handler, Observer, Outcome, Reply
from fercore.messaging.queue import (
    MAX_ATTEMPTS,
    WORKER_KEY_TTL_MS,
    Channel,
    Ending,
    Envelope,
    Queue,
    ReceivedMessage,
)
from fercore.messaging.retry import Retry

HEARTBEAT_EVERY_S = 0.5
CLAIM_EVERY_S = 0.5
RECEIVE_WAIT_MS = 250
FINISH_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerOptions:
    """How one worker consumes.

    Attributes:
        offer: what this worker can do, for `Queue.heartbeat`; asked every time.
        encode_error: makes the body of an error reply.
        observer: counts how messages end.
        max_batch: at most so many messages in a handler call.
        max_batch_bytes: bodies of at most so many bytes in a handler call, but always one message.
        concurrency: so many handler calls at a time, and one more for messages claimed from dead workers.
        finish_s: the time for work in hand at the end.
        worker_id: random, new with every process.
    """

    offer: Callable[[], bytes]
    encode_error: Callable[[FerError], bytes]
    observer: Observer
    max_batch: int
    concurrency: int
    max_batch_bytes: int | None = None
    finish_s: float = FINISH_S
    worker_id: str = field(default_factory=lambda: uuid4().hex)


async def consume(queue: Queue, channel: Channel, handle: Handler, options: ConsumerOptions) -> None:
    """Work on a channel until the task is cancelled; an absent broker is waited for.

    Then nothing new is received, what is in hand has `finish_s` to end, and the worker withdraws.
    A second cancellation abandons everything at once; others then claim what it held.

    Args:
        queue: where messages come from and go to.
        channel: what to work on.
        handle: does the work; called from `concurrency` tasks at a time.
        options: see `ConsumerOptions`.
    """
    stop = asyncio.Event()
    loop = _Loop(queue, channel, handle, options, stop)
    # In no TaskGroup, for that would pass a cancellation on before the work in hand is done.
    running = asyncio.create_task(loop.run(), name=f"consume {channel.stream}")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await running
        raise


@dataclass(slots=True)
class _Loop:
    queue: Queue
    channel: Channel
    handle: Handler
    options: ConsumerOptions
    stop: asyncio.Event
    broker: Retry = field(default_factory=Retry)

    async def run(self) -> None:
        self.options.observer.work_begins(self.channel.stream)
        try:
            async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as background:
                # A worker that receives before its first heartbeat looks dead, and its messages are claimed.
                await self.broker.until_answered(self._heartbeat, as_long_as=self._is_running)
                keepers = [
                    background.create_task(self._send_heartbeats()),
                    background.create_task(self._limit_the_end(limit)),
                ]
                async with asyncio.TaskGroup() as runners:
                    runners.create_task(self._work_on_claimed())
                    for _ in range(self.options.concurrency):
                        runners.create_task(self._work_on_new())
                for keeper in keepers:
                    keeper.cancel()
        except TimeoutError:
            _log.warning("work in hand was abandoned", extra={"stream": self.channel.stream})
        await self.broker.once(self.queue.withdraw(self.channel, self.options.worker_id))

    def _is_running(self) -> bool:
        return not self.stop.is_set()

    async def _heartbeat(self) -> bool:
        await self.queue.heartbeat(self.channel.service, self.options.worker_id, self.options.offer())
        return True

    async def _send_heartbeats(self) -> None:
        while True:
            backlog = await self.broker.once(self.queue.backlog(self.channel))
            if backlog is not None:
                self.options.observer.backlog_changed(self.channel.stream, backlog)
            await asyncio.sleep(HEARTBEAT_EVERY_S)
            await self.broker.once(self._heartbeat())

    async def _limit_the_end(self, limit: asyncio.Timeout) -> None:
        await self.stop.wait()
        limit.reschedule(asyncio.get_running_loop().time() + self.options.finish_s)

    async def _work_on_new(self) -> None:
        def receive() -> Awaitable[list[ReceivedMessage]]:
            return self.queue.receive(
                self.channel, self.options.worker_id, max_n=self.options.max_batch, wait_ms=RECEIVE_WAIT_MS
            )

        while self._is_running():
            messages = await self.broker.until_answered(receive, as_long_as=self._is_running)
            await self._work_on(messages or [])

    async def _work_on_claimed(self) -> None:
        while self._is_running():
            claimed = await self.broker.once(
                self.queue.claim(self.channel, self.options.worker_id, max_n=self.options.max_batch)
            )
            if claimed is None:  # after an outage living workers need time for their next heartbeat
                await self._pause(WORKER_KEY_TTL_MS / 1000)
                continue
            self._count("expired", claimed.expired)
            self._count("taken_over", len(claimed.messages))
            await self._work_on(claimed.messages)
            await self._pause(CLAIM_EVERY_S)

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self.stop.wait()

    async def _work_on(self, messages: Sequence[ReceivedMessage]) -> None:
        """Bring every message to its end, small ones first: they must not wait for a heavy neighbour."""
        for group in group_by_size(messages, self.options.max_batch_bytes):
            await self._work_on_group(group)

    async def _work_on_group(self, messages: Sequence[ReceivedMessage]) -> None:
        in_time: list[ReceivedMessage] = []
        over: list[Ending] = []
        for message in messages:
            if message.envelope is None:
                over.append(self._dead_letter(message, "unreadable envelope"))
            elif message.attempts > MAX_ATTEMPTS:
                over.append(self._dead_letter(message, f"delivered {message.attempts} times"))
            elif self.queue.now_ms() >= message.envelope.deadline_ms:
                over.append(Ending(message))
            else:
                in_time.append(message)
        if over:
            await self._end(over)
        if in_time:
            outcomes = await self._outcomes(in_time)
            await self._end([self._ending(*pair) for pair in zip(in_time, outcomes, strict=True)])

    async def _outcomes(self, messages: Sequence[ReceivedMessage]) -> Sequence[Outcome]:
        try:
            outcomes = await self.handle(messages)
            if len(outcomes) != len(messages):
                raise ValueError(f"{len(outcomes)} outcomes for {len(messages)} messages")
        except FerError as fault:
            return [Reply(self.options.encode_error(fault))] * len(messages)
        except Exception:  # noqa: BLE001 - a border: callers are answered, the loop goes on
            request_ids = [message.envelope.caller_id for message in messages if message.envelope]
            _log.exception(
                "the handler failed", extra={"stream": self.channel.stream, "request_ids": request_ids}
            )
            return [Reply(self.options.encode_error(InternalError()))] * len(messages)
        return outcomes

    def _ending(self, message: ReceivedMessage, outcome: Outcome) -> Ending:
        envelope = message.envelope
        assert envelope is not None  # noqa: S101 - only such reach a handler
        match outcome:
            case Forward(channel, body, trace):
                onward = replace(envelope, body=body, trace=trace or envelope.trace)
                return Ending(message, forward=(channel, onward))
            case Reply(body):
                return Ending(message, reply=replace(envelope, body=body))
            case Dead(reason):
                return self._dead_letter(message, reason)

    def _dead_letter(self, message: ReceivedMessage, reason: str) -> Ending:
        told = {"stream": self.channel.stream, "reason": reason}
        reply = None
        if (address := return_address(message.fields)) is not None:
            body = self.options.encode_error(InternalError())
            reply = Envelope(*address, deadline_ms=self.queue.now_ms(), body=body)
            told["request_id"] = reply.caller_id
        _log.error("a dead message", extra=told)
        return Ending(message, reply=reply, dead_reason=reason)

    async def _end(self, endings: Sequence[Ending]) -> None:
        ended = await self.broker.until_answered(
            lambda: self.queue.settle(endings), as_long_as=lambda: any(map(self._has_time, endings))
        )
        for ending, is_mine in zip(endings, ended or [], strict=ended is not None):
            if is_mine:
                self._count(_outcome_of(ending), 1)

    def _has_time(self, ending: Ending) -> bool:
        envelope = ending.message.envelope
        return envelope is None or self.queue.now_ms() < envelope.deadline_ms

    def _count(self, outcome: str, messages: int) -> None:
        self.options.observer.messages_ended(self.channel.stream, outcome, messages)


def group_by_size(messages: Sequence[ReceivedMessage], max_bytes: int | None) -> list[list[ReceivedMessage]]:
    """Split messages into groups of at most `max_bytes` of bodies, at least one each, smallest first."""
    if max_bytes is None:
        return [list(messages)] if messages else []
    groups: list[list[ReceivedMessage]] = []
    room = 0
    for message in sorted(messages, key=_body_bytes):
        if not groups or _body_bytes(message) > room:
            groups.append([])
            room = max_bytes
        groups[-1].append(message)
        room -= _body_bytes(message)
    return groups


def _body_bytes(message: ReceivedMessage) -> int:
    return len(message.envelope.body) if message.envelope is not None else 0


def _outcome_of(ending: Ending) -> str:
    if ending.dead_reason is not None:
        return "dead"
    return "expired" if ending.forward is None and ending.reply is None else "done"

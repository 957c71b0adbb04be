"""The one consume loop: receive, hand to the service's handler, end each message exactly once.

Knows neither the broker nor what a body means; a service gives it a handler, an offer and an encoder.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from fercore.contracts.errors import FerError, InternalError
from fercore.messaging.envelope import return_address
from fercore.messaging.handler import Dead, Forward, Handler, Observer, Outcome, Reply
from fercore.messaging.patience import Patience
from fercore.messaging.queue import (
    MAX_DELIVERIES,
    WORKER_KEY_TTL_MS,
    Channel,
    Delivery,
    Ending,
    Envelope,
    Queue,
)

ANNOUNCE_EVERY_S = 0.5
TAKE_OVER_EVERY_S = 0.5
RECEIVE_WAIT_MS = 250
FINISH_S = 5.0

_log = logging.getLogger(__name__)


async def consume(
    queue: Queue,
    channel: Channel,
    worker_id: str,
    handle: Handler,
    *,
    offer: Callable[[], bytes],
    encode_error: Callable[[FerError], bytes],
    observer: Observer,
    max_batch: int,
    concurrency: int,
    max_batch_bytes: int | None = None,
    finish_s: float = FINISH_S,
) -> None:
    """Work on a channel until the task is cancelled; an absent broker is waited for.

    Then nothing new is received, what is in hand has `finish_s` to end, and the worker withdraws.
    A second cancellation abandons everything at once; others then take over as from a dead worker.

    Args:
        queue: where messages come from and go to.
        channel: what to work on.
        worker_id: random, new with every process.
        handle: does the work; called from `concurrency` tasks at a time.
        offer: what this worker can do, for `Queue.announce`; asked every time.
        encode_error: makes the body of an error reply.
        observer: is told how messages end.
        max_batch: at most so many messages in a handler call.
        max_batch_bytes: bodies of at most so many bytes in a handler call, but always one message.
        concurrency: so many handler calls at a time, and one more for what dead workers have left.
        finish_s: the time for work in hand at the end.
    """
    stop = asyncio.Event()
    loop = _Loop(
        queue=queue,
        channel=channel,
        worker_id=worker_id,
        handle=handle,
        offer=offer,
        encode_error=encode_error,
        observer=observer,
        max_batch=max_batch,
        max_batch_bytes=max_batch_bytes,
        concurrency=concurrency,
        stop=stop,
        finish_s=finish_s,
    )
    # In no TaskGroup, for that would pass a cancellation on before the work in hand is done.
    running = asyncio.create_task(loop.run(), name=f"consume {channel.stream}")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await running
        raise


@dataclass(slots=True, kw_only=True)
class _Loop:
    queue: Queue
    channel: Channel
    worker_id: str
    handle: Handler
    offer: Callable[[], bytes]
    encode_error: Callable[[FerError], bytes]
    observer: Observer
    max_batch: int
    max_batch_bytes: int | None
    concurrency: int
    stop: asyncio.Event
    finish_s: float
    broker: Patience = field(default_factory=Patience)

    async def run(self) -> None:
        self.observer.work_begins(self.channel.stream)
        try:
            async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as background:
                # Who receives before it is announced looks dead, and its messages are taken from it.
                await self.broker.insist(self._announce, as_long_as=self._is_running)
                keepers = [
                    background.create_task(self._keep_announced()),
                    background.create_task(self._limit_the_end(limit)),
                ]
                async with asyncio.TaskGroup() as runners:
                    runners.create_task(self._work_on_what_the_dead_left())
                    for _ in range(self.concurrency):
                        runners.create_task(self._work_on_what_is_new())
                for keeper in keepers:
                    keeper.cancel()
        except TimeoutError:
            _log.warning("work in hand was abandoned", extra={"stream": self.channel.stream})
        await self.broker.attempt(self.queue.withdraw(self.channel, self.worker_id))

    def _is_running(self) -> bool:
        return not self.stop.is_set()

    async def _announce(self) -> bool:
        await self.queue.announce(self.channel.service, self.worker_id, self.offer())
        return True

    async def _keep_announced(self) -> None:
        while True:
            backlog = await self.broker.attempt(self.queue.backlog(self.channel))
            if backlog is not None:
                self.observer.backlog_changed(self.channel.stream, backlog)
            await asyncio.sleep(ANNOUNCE_EVERY_S)
            await self.broker.attempt(self._announce())

    async def _limit_the_end(self, limit: asyncio.Timeout) -> None:
        await self.stop.wait()
        limit.reschedule(asyncio.get_running_loop().time() + self.finish_s)

    async def _work_on_what_is_new(self) -> None:
        def receive() -> Awaitable[list[Delivery]]:
            return self.queue.receive(
                self.channel, self.worker_id, max_n=self.max_batch, wait_ms=RECEIVE_WAIT_MS
            )

        while self._is_running():
            deliveries = await self.broker.insist(receive, as_long_as=self._is_running)
            await self._work_on(deliveries or [])

    async def _work_on_what_the_dead_left(self) -> None:
        while self._is_running():
            left = await self.broker.attempt(
                self.queue.take_over(self.channel, self.worker_id, max_n=self.max_batch)
            )
            if left is None:  # after an outage the living need time to announce themselves again
                await self._pause(WORKER_KEY_TTL_MS / 1000)
                continue
            self._count("expired", left.expired)
            self._count("taken_over", len(left.deliveries))
            await self._work_on(left.deliveries)
            await self._pause(TAKE_OVER_EVERY_S)

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self.stop.wait()

    async def _work_on(self, deliveries: Sequence[Delivery]) -> None:
        """Bring every delivery to its end, small ones first: they must not wait for a heavy neighbour."""
        for group in grouped(deliveries, self.max_batch_bytes):
            await self._work_on_group(group)

    async def _work_on_group(self, deliveries: Sequence[Delivery]) -> None:
        in_time: list[Delivery] = []
        over: list[Ending] = []
        for delivery in deliveries:
            if delivery.envelope is None:
                over.append(self._burial(delivery, "unreadable envelope"))
            elif delivery.deliveries > MAX_DELIVERIES:
                over.append(self._burial(delivery, f"delivered {delivery.deliveries} times"))
            elif self.queue.now_ms() >= delivery.envelope.deadline_ms:
                over.append(Ending(delivery))
            else:
                in_time.append(delivery)
        if over:
            await self._end(over)
        if in_time:
            outcomes = await self._outcomes(in_time)
            await self._end([self._ending(*pair) for pair in zip(in_time, outcomes, strict=True)])

    async def _outcomes(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        try:
            outcomes = await self.handle(deliveries)
            if len(outcomes) != len(deliveries):
                raise ValueError(f"{len(outcomes)} outcomes for {len(deliveries)} messages")
        except FerError as fault:
            return [Reply(self.encode_error(fault))] * len(deliveries)
        except Exception:  # noqa: BLE001 - a border: callers are answered, the loop goes on
            request_ids = [delivery.envelope.caller_id for delivery in deliveries if delivery.envelope]
            _log.exception(
                "the handler failed", extra={"stream": self.channel.stream, "request_ids": request_ids}
            )
            return [Reply(self.encode_error(InternalError()))] * len(deliveries)
        return outcomes

    def _ending(self, delivery: Delivery, outcome: Outcome) -> Ending:
        envelope = delivery.envelope
        assert envelope is not None  # noqa: S101 - only such reach a handler
        match outcome:
            case Forward(channel, body, trace):
                onward = replace(envelope, body=body, trace=trace or envelope.trace)
                return Ending(delivery, forward=(channel, onward))
            case Reply(body):
                return Ending(delivery, reply=replace(envelope, body=body))
            case Dead(reason):
                return self._burial(delivery, reason)

    def _burial(self, delivery: Delivery, reason: str) -> Ending:
        told = {"stream": self.channel.stream, "reason": reason}
        reply = None
        if (address := return_address(delivery.fields)) is not None:
            body = self.encode_error(InternalError())
            reply = Envelope(*address, deadline_ms=self.queue.now_ms(), body=body)
            told["request_id"] = reply.caller_id
        _log.error("a dead message", extra=told)
        return Ending(delivery, reply=reply, dead_reason=reason)

    async def _end(self, endings: Sequence[Ending]) -> None:
        ended = await self.broker.insist(
            lambda: self.queue.settle(endings), as_long_as=lambda: any(map(self._has_time, endings))
        )
        for ending, is_mine in zip(endings, ended or [], strict=ended is not None):
            if is_mine:
                self._count(_outcome_of(ending), 1)

    def _has_time(self, ending: Ending) -> bool:
        envelope = ending.delivery.envelope
        return envelope is None or self.queue.now_ms() < envelope.deadline_ms

    def _count(self, outcome: str, messages: int) -> None:
        self.observer.messages_ended(self.channel.stream, outcome, messages)


def grouped(deliveries: Sequence[Delivery], max_bytes: int | None) -> list[list[Delivery]]:
    """Part deliveries into groups of at most `max_bytes` of bodies, at least one each, smallest first."""
    if max_bytes is None:
        return [list(deliveries)] if deliveries else []
    groups: list[list[Delivery]] = []
    room = 0
    for delivery in sorted(deliveries, key=_body_bytes):
        if not groups or _body_bytes(delivery) > room:
            groups.append([])
            room = max_bytes
        groups[-1].append(delivery)
        room -= _body_bytes(delivery)
    return groups


def _body_bytes(delivery: Delivery) -> int:
    return len(delivery.envelope.body) if delivery.envelope is not None else 0


def _outcome_of(ending: Ending) -> str:
    if ending.dead_reason is not None:
        return "dead"
    return "expired" if ending.forward is None and ending.reply is None else "done"

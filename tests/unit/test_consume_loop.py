"""The consume loop, by what its callers see."""

import asyncio
import logging
from dataclasses import replace

from fercore.contracts.errors import InvalidImage, UpstreamUnavailable
from fercore.messaging.handler import Dead, Forward, Reply
from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.queue import FACES, FRAMES
from tests.support.consuming import Counts, consuming, die, echo, replies, send, settle, until


async def test_a_reply_carries_the_routing_fields_of_its_request():
    queue = InMemoryQueue()
    await send(queue, b"hello")
    async with consuming(queue, echo):
        [reply] = await replies(queue, 1)
    assert (reply.request_id, reply.reply_to, reply.trace, reply.body) == (
        "r0",
        "gateway",
        "00-ab-cd-01",
        b"hello",
    )
    assert (await queue.backlog(FRAMES)).depth == 0


async def test_a_forwarded_message_carries_the_routing_fields_of_its_request():
    queue = InMemoryQueue()

    async def forward(messages):
        return [Forward(FACES, b"faces") for _ in messages]

    await send(queue, b"hello")
    async with consuming(queue, forward):
        [message] = await queue.receive(FACES, "classifier", max_n=1, wait_ms=20_000)
    assert message.envelope.request_id == "r0"
    assert message.envelope.trace == "00-ab-cd-01"
    assert message.envelope.body == b"faces"
    assert message.envelope.deadline_ms > queue.now_ms()


async def test_every_message_of_a_batch_gets_its_own_outcome():
    queue, counts, sizes = InMemoryQueue(), Counts(), []

    async def mixed(messages):
        sizes.append(len(messages))
        return [Dead("no") if d.envelope.body == b"bad" else Reply(d.envelope.body) for d in messages]

    await send(queue, b"a", b"bad", b"c")
    async with consuming(queue, mixed, counts=counts, max_batch=8):
        got = await replies(queue, 3)
    assert {reply.request_id: reply.body for reply in got} == {"r0": b"a", "r1": b"internal", "r2": b"c"}
    assert sizes == [3]
    assert counts.ended == {"done": 2, "dead": 1}


async def test_expired_messages_are_dropped_before_the_handler_sees_them():
    queue, counts = InMemoryQueue(), Counts()
    seen: list[bytes] = []

    async def note(messages):
        seen.extend(message.envelope.body for message in messages)
        return await echo(messages)

    await send(queue, b"late", time_left_ms=-1)
    await send(queue, b"in time")
    async with consuming(queue, note, counts=counts):
        await replies(queue, 1)
    assert seen == [b"in time"]
    assert counts.ended == {"expired": 1, "done": 1}
    assert (await queue.backlog(FRAMES)).depth == 0


async def test_the_observer_hears_that_work_begins_before_there_is_any_message():
    counts = Counts()
    async with consuming(InMemoryQueue(), echo, counts=counts):
        await until(lambda: counts.streams)
    assert counts.streams == [FRAMES.stream]
    assert counts.ended == {}


async def test_a_fault_of_the_handler_is_the_callers_answer():
    queue, counts = InMemoryQueue(), Counts()

    async def refuse(messages):
        raise InvalidImage("no picture")

    await send(queue, b"text")
    async with consuming(queue, refuse, counts=counts):
        [reply] = await replies(queue, 1)
    assert reply.body == b"invalid_image"
    assert counts.ended == {"done": 1}


async def test_a_bug_in_the_handler_answers_internal_and_the_loop_goes_on(told):
    queue = InMemoryQueue()

    async def stumble(messages):
        if messages[0].envelope.body == b"bug":
            raise ZeroDivisionError("secret detail")
        return await echo(messages)

    await send(queue, b"bug", b"fine")
    async with consuming(queue, stumble):
        got = await replies(queue, 2)
    assert [reply.body for reply in got] == [b"internal", b"fine"]
    (line,) = told("the handler failed")
    assert "ZeroDivisionError" in line.traceback
    assert line.request_ids == ["r0"]


async def test_a_handler_that_forgets_a_message_answers_internal_to_all():
    queue = InMemoryQueue()

    async def forget(messages):
        return (await echo(messages))[:-1]

    await send(queue, b"a", b"b")
    async with consuming(queue, forget, max_batch=2):
        got = await replies(queue, 2)
    assert [reply.body for reply in got] == [b"internal", b"internal"]


async def test_an_unreadable_envelope_is_buried_and_its_caller_told_at_once(told):
    queue, counts = InMemoryQueue(), Counts()
    await queue.append(
        FRAMES, {"v": b"99", "request_id": b"r7", "reply_to": b"gateway", "body": b"secret face"}
    )
    async with consuming(queue, echo, counts=counts):
        [reply] = await replies(queue, 1)
        await until(lambda: counts.ended["dead"] == 1)
    assert (reply.request_id, reply.body) == ("r7", b"internal")
    [record] = queue.dead
    assert record["reason"] == b"unreadable envelope"
    assert not any(b"secret face" in value for value in record.values())
    (line,) = told("a dead message")
    assert (line.request_id, line.details["reason"]) == ("r7", "unreadable envelope")


async def test_a_message_without_a_return_address_is_buried_without_a_reply():
    queue, counts = InMemoryQueue(), Counts()
    await queue.append(FRAMES, {"nonsense": b"\xff"})
    async with consuming(queue, echo, counts=counts):
        await until(lambda: counts.ended["dead"] == 1)
    assert len(queue.dead) == 1
    assert (await queue.backlog(FRAMES)).depth == 0


async def test_a_message_that_another_has_ended_is_neither_answered_nor_counted_again():
    queue, counts = InMemoryQueue(), Counts()

    async def be_too_late(messages):
        for message in messages:
            await settle(queue, message, reply=replace(message.envelope, body=b"from another"))
        return await echo(messages)

    await send(queue, b"from me")
    async with consuming(queue, be_too_late, counts=counts):
        [reply] = await replies(queue, 1)
    assert reply.body == b"from another"
    assert await queue.receive_replies("gateway", wait_ms=0) == []
    assert counts.ended == {}


async def test_as_many_handler_calls_run_at_a_time_as_asked_for():
    queue, inside, most, let_go = InMemoryQueue(), 0, 0, asyncio.Event()

    async def hold(messages):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await let_go.wait()
        inside -= 1
        return await echo(messages)

    await send(queue, *[b"x"] * 6)
    async with consuming(queue, hold, concurrency=3):
        await until(lambda: inside == 3)
        let_go.set()
        await replies(queue, 6)
    assert most == 3


async def test_heartbeats_go_on_while_the_handler_runs():
    queue, let_go = InMemoryQueue(), asyncio.Event()
    heartbeats = 0

    class CountingQueue(InMemoryQueue):
        async def heartbeat(self, service, worker_id, offer):
            nonlocal heartbeats
            heartbeats += 1
            await super().heartbeat(service, worker_id, offer)

    queue = CountingQueue()

    async def hold(messages):
        await let_go.wait()
        return await echo(messages)

    await send(queue, b"x")
    async with consuming(queue, hold):
        await until(lambda: heartbeats >= 3)
        assert await queue.offers("detector") == {"w1": b"offer"}
        let_go.set()
        await replies(queue, 1)


async def test_the_depth_is_published():
    queue, counts = InMemoryQueue(), Counts()
    await send(queue, b"x")
    async with consuming(queue, echo, counts=counts):
        await until(lambda: counts.depth is not None)


async def test_the_end_lets_work_in_hand_finish_and_withdraws():
    queue, started, let_go = InMemoryQueue(), asyncio.Event(), asyncio.Event()

    async def hold(messages):
        started.set()
        await let_go.wait()
        return await echo(messages)

    await send(queue, b"in hand", b"waiting")
    async with consuming(queue, hold) as task:
        await started.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert await queue.offers("detector") == {"w1": b"offer"}
        let_go.set()
        await asyncio.wait([task], timeout=20)
        assert task.done()
    assert task.cancelled()
    [reply] = await replies(queue, 1)
    assert reply.body == b"in hand"
    assert await queue.offers("detector") == {}
    assert (await queue.backlog(FRAMES)).depth == 1


async def test_work_that_does_not_end_in_time_is_abandoned_to_others(caplog):
    queue, started = InMemoryQueue(), asyncio.Event()

    async def hang(messages):
        started.set()
        await asyncio.Event().wait()

    await send(queue, b"stuck")
    async with consuming(queue, hang, finish_s=0.05) as task:
        await started.wait()
        task.cancel()
        await asyncio.wait([task], timeout=20)
        assert task.cancelled()
    assert "abandoned" in caplog.text
    found = await queue.claim(FRAMES, "w2", max_n=1)
    assert [message.attempts for message in found.messages] == [2]


async def test_what_a_dead_worker_held_is_finished_by_another():
    queue, counts, started = InMemoryQueue(), Counts(), asyncio.Event()

    async def hang(messages):
        started.set()
        await asyncio.Event().wait()

    await send(queue, b"orphan")
    async with consuming(queue, hang, worker_id="w1") as dying:
        await started.wait()
        await die(dying)
        assert list(await queue.offers("detector")) == ["w1"]
        async with consuming(queue, echo, worker_id="w2", counts=counts):
            [reply] = await replies(queue, 1)
            await until(lambda: counts.ended["done"] == 1)
    assert reply.body == b"orphan"
    assert counts.ended == {"taken_over": 1, "done": 1}


async def test_a_message_that_killed_two_workers_is_buried_and_its_caller_told():
    queue, counts, seen = InMemoryQueue(), Counts(), []

    async def note(messages):
        seen.extend(messages)
        return await echo(messages)

    await send(queue, b"poison")
    await queue.receive(FRAMES, "first victim", max_n=1, wait_ms=0)
    await queue.claim(FRAMES, "second victim", max_n=1)
    async with consuming(queue, note, counts=counts):
        [reply] = await replies(queue, 1)
        await until(lambda: counts.ended["dead"] == 1)
    assert (reply.request_id, reply.body) == ("r0", b"internal")
    assert seen == []
    assert queue.dead[0]["deliveries"] == b"3"


class ShakyQueue(InMemoryQueue):
    """Raises `UpstreamUnavailable` from everything while it is away."""

    is_away = False
    refusals = 0
    refused_endings = 0

    async def receive(self, channel, worker_id, *, max_n, wait_ms):
        self._check()
        return await super().receive(channel, worker_id, max_n=max_n, wait_ms=wait_ms)

    async def claim(self, channel, worker_id, *, max_n):
        self._check()
        return await super().claim(channel, worker_id, max_n=max_n)

    async def settle(self, endings):
        self.refused_endings += self.is_away
        self._check()
        return await super().settle(endings)

    async def heartbeat(self, service, worker_id, offer):
        self._check()
        await super().heartbeat(service, worker_id, offer)

    async def backlog(self, channel):
        self._check()
        return await super().backlog(channel)

    def _check(self):
        if self.is_away:
            self.refusals += 1
            raise UpstreamUnavailable("the broker is away")


async def test_an_outcome_waits_for_a_broker_that_is_away_and_the_log_says_so_once(caplog):
    queue, started, let_go = ShakyQueue(), asyncio.Event(), asyncio.Event()

    async def hold(messages):
        started.set()
        await let_go.wait()
        return await echo(messages)

    await send(queue, b"x")
    with caplog.at_level(logging.INFO):
        async with consuming(queue, hold):
            await started.wait()
            queue.is_away = True
            let_go.set()
            await until(lambda: queue.refused_endings >= 3)
            queue.is_away = False
            [reply] = await replies(queue, 1)
    assert reply.body == b"x"
    assert caplog.text.count("broker is away") == 1


async def test_a_worker_that_starts_before_its_broker_waits_for_it():
    queue = ShakyQueue()
    await send(queue, b"x")
    queue.is_away = True
    async with consuming(queue, echo):
        await until(lambda: queue.refusals)
        queue.is_away = False
        [reply] = await replies(queue, 1)
    assert reply.body == b"x"


async def test_small_messages_do_not_wait_for_heavy_neighbours():
    queue, calls = InMemoryQueue(), []

    async def note(messages):
        calls.append([len(message.envelope.body) for message in messages])
        return await echo(messages)

    await send(queue, bytes(90), bytes(10), bytes(200), bytes(20), bytes(60))
    async with consuming(queue, note, max_batch=10, max_batch_bytes=100):
        await replies(queue, 5)
    assert calls == [[10, 20, 60], [90], [200]]


async def test_a_message_that_expires_behind_its_neighbours_is_not_handled():
    clock = 0.0
    queue = InMemoryQueue(clock_ms=lambda: clock)
    handled: list[int] = []
    counts = Counts()

    async def slow(messages):
        nonlocal clock
        handled.extend(len(message.envelope.body) for message in messages)
        clock += 1_000_000
        return await echo(messages)

    await send(queue, bytes(10), bytes(200))
    async with consuming(queue, slow, counts=counts, max_batch=10, max_batch_bytes=100):
        await until(lambda: counts.ended["expired"])
    assert handled == [10]

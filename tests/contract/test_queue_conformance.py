"""What every queue promises of messages; run against all of them, the real Redis among them."""

import asyncio
import hashlib
from typing import Any

import pytest

from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.queue import FACES, FRAMES, Ending, Queue
from fercore.messaging.redis_streams import RedisStreams
from tests.support.consuming import bury, settle
from tests.support.queues import claimed, envelope, eventually, receive

SECRET = b"the bytes of a face"


async def dead_records(queue: Queue) -> list[dict[str, bytes]]:
    if isinstance(queue, InMemoryQueue):
        return queue.dead
    assert isinstance(queue, RedisStreams)
    found: Any = await queue._redis.xrange("fer:dead")
    return [{name.decode(): value for name, value in fields.items()} for _, fields in found]


async def test_an_envelope_arrives_as_it_was_sent_and_stamped(queue):
    sent = envelope(queue, bytes(range(256)), request_id="r-ü")
    before_ms = queue.now_ms()
    await queue.publish(FRAMES, sent)
    [message] = await receive(queue, "a")
    got = message.envelope
    assert (got.request_id, got.reply_to, got.body, got.trace) == ("r-ü", "gateway", sent.body, "00-aa-bb-01")
    assert got.deadline_ms == pytest.approx(sent.deadline_ms, abs=0.01)
    assert before_ms - 100 <= got.sent_ms <= queue.now_ms() + 100
    assert message.attempts == 1
    assert message.channel == FRAMES


async def test_messages_sent_before_any_worker_came_are_delivered_in_order(queue):
    for number in range(5):
        await queue.publish(FRAMES, envelope(queue, request_id=str(number)))
    got = await receive(queue, "a", max_n=3) + await receive(queue, "a", max_n=3)
    assert [message.envelope.request_id for message in got] == ["0", "1", "2", "3", "4"]


async def test_each_message_goes_to_one_of_several_workers(queue):
    for number in range(20):
        await queue.publish(FRAMES, envelope(queue, request_id=str(number)))
    shares = [await receive(queue, worker_id, max_n=5) for worker_id in ("a", "b", "c", "d")]
    assert [len(share) for share in shares] == [5, 5, 5, 5]
    assert len({message.message_id for share in shares for message in share}) == 20
    assert await receive(queue, "e") == []


async def test_a_waiting_worker_gets_a_message_when_it_comes(queue):
    await receive(queue, "a")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.receive(FRAMES, "a", max_n=1, wait_ms=20_000))
        await asyncio.sleep(0)
        await queue.publish(FRAMES, envelope(queue))
    assert len(waiting.result()) == 1


async def test_an_empty_stream_gives_an_empty_list(queue):
    assert await receive(queue, "a", wait_ms=1) == []


async def test_depth_counts_what_waits_and_what_is_in_hand(queue):
    assert (await queue.backlog(FRAMES)).depth == 0
    for _ in range(3):
        await queue.publish(FRAMES, envelope(queue))
    [message] = await receive(queue, "a", max_n=1)
    assert (await queue.backlog(FRAMES)).depth == 3
    await settle(queue, message)
    assert (await queue.backlog(FRAMES)).depth == 2


async def test_the_oldest_message_ages_until_it_is_settled(queue):
    assert (await queue.backlog(FRAMES)).oldest_ms == 0
    await queue.publish(FRAMES, envelope(queue))
    [message] = await receive(queue, "a")
    async with asyncio.timeout(5):
        while (await queue.backlog(FRAMES)).oldest_ms < 30:
            await asyncio.sleep(0.01)
    await queue.publish(FRAMES, envelope(queue))
    assert (await queue.backlog(FRAMES)).oldest_ms >= 30
    await settle(queue, message)
    assert (await queue.backlog(FRAMES)).oldest_ms < 30
    [younger] = await receive(queue, "a")
    await settle(queue, younger)
    assert (await queue.backlog(FRAMES)).oldest_ms == 0


async def test_a_settled_message_is_replied_and_gone(queue):
    await queue.publish(FRAMES, envelope(queue))
    [message] = await receive(queue, "a")
    assert await settle(queue, message, reply=envelope(queue, b"answer"))
    [reply] = await queue.receive_replies("gateway", wait_ms=0)
    assert (reply.request_id, reply.body) == ("r", b"answer")
    assert (await queue.backlog(FRAMES)).depth == 0
    assert (await queue.claim(FRAMES, "b", max_n=10)).messages == []


async def test_a_settled_message_is_forwarded_and_gone(queue):
    await queue.publish(FRAMES, envelope(queue))
    [message] = await receive(queue, "a")
    assert await settle(queue, message, forward=(FACES, envelope(queue, b"faces")))
    assert (await queue.backlog(FRAMES)).depth == 0
    assert (await queue.backlog(FACES)).depth == 1


async def test_exactly_one_outcome_is_published_when_two_settle(queue):
    await queue.publish(FRAMES, envelope(queue))
    [slow] = await receive(queue, "a")
    [fast] = await claimed(queue, "b")
    ended = await asyncio.gather(
        settle(queue, slow, reply=envelope(queue, b"slow")),
        settle(queue, fast, reply=envelope(queue, b"fast")),
        bury(queue, slow, "late", reply=envelope(queue, b"dead")),
    )
    assert sorted(ended) == [False, False, True]
    assert len(await queue.receive_replies("gateway", wait_ms=0)) == 1
    assert len(await queue.receive_replies("gateway", wait_ms=0)) == 0


async def test_many_messages_end_at_a_time_each_for_itself(queue):
    for number in range(4):
        await queue.publish(FRAMES, envelope(queue, request_id=str(number)))
    ended_before, replied, forwarded, dead = await receive(queue, "a")
    await settle(queue, ended_before)
    ended = await queue.settle(
        [
            Ending(replied, reply=replied.envelope),
            Ending(ended_before, reply=ended_before.envelope),
            Ending(forwarded, forward=(FACES, forwarded.envelope)),
            Ending(dead, dead_reason="test"),
        ]
    )
    assert ended == [True, False, True, True]
    assert [reply.request_id for reply in await queue.receive_replies("gateway", wait_ms=0)] == ["1"]
    assert (await queue.backlog(FACES)).depth == 1
    assert len(await dead_records(queue)) == 1
    assert (await queue.backlog(FRAMES)).depth == 0
    assert await queue.settle([]) == []


async def test_replies_are_taken_once_and_only_by_their_gateway(queue):
    for number in range(2):
        await queue.publish(FRAMES, envelope(queue, request_id=str(number)))
    for message in await receive(queue, "a"):
        await settle(queue, message, reply=message.envelope)
    assert await queue.receive_replies("other", wait_ms=0) == []
    taken = await queue.receive_replies("gateway", wait_ms=0)
    assert [reply.request_id for reply in taken] == ["0", "1"]
    assert await queue.receive_replies("gateway", wait_ms=1) == []


async def test_a_waiting_gateway_gets_a_reply_when_it_comes(queue):
    await queue.publish(FRAMES, envelope(queue))
    [message] = await receive(queue, "a")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.receive_replies("gateway", wait_ms=20_000))
        await asyncio.sleep(0)
        await settle(queue, message, reply=message.envelope)
    assert len(waiting.result()) == 1


async def test_a_dead_record_says_why_and_holds_no_body(queue):
    await queue.publish(FRAMES, envelope(queue, SECRET))
    [message] = await receive(queue, "a")
    assert await bury(queue, message, "body cannot be read", reply=envelope(queue, b"internal"))
    [record] = await dead_records(queue)
    assert record["reason"] == b"body cannot be read"
    assert record["stream"] == b"fer:frames"
    assert record["request_id"] == b"r"
    assert record["deliveries"] == b"1"
    assert record["body_bytes"] == str(len(SECRET)).encode()
    assert record["body_sha256"] == hashlib.sha256(SECRET).hexdigest().encode()
    assert not any(SECRET in value for value in record.values())
    assert [reply.body for reply in await queue.receive_replies("gateway", wait_ms=0)] == [b"internal"]
    assert (await queue.backlog(FRAMES)).depth == 0


async def test_only_the_newest_thousand_dead_records_are_kept(queue):
    for number in range(1003):
        await queue.publish(FRAMES, envelope(queue, request_id=str(number)))
    for message in await receive(queue, "a", max_n=1003):
        await bury(queue, message, "test")
    records = await dead_records(queue)
    assert len(records) == 1000
    assert records[0]["request_id"] == b"3"


READABLE = {
    "v": b"1",
    "request_id": b"r",
    "reply_to": b"gateway",
    "deadline_ms": b"9e15",
    "trace": b"",
    "sent_ms": b"1",
    "body": SECRET,
}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(READABLE | {"v": b"2"}, id="another version"),
        pytest.param({name: READABLE[name] for name in READABLE if name != "deadline_ms"}, id="no deadline"),
        pytest.param(READABLE | {"deadline_ms": b"nan"}, id="a deadline that is no number"),
        pytest.param(READABLE | {"request_id": b"\xff"}, id="broken text"),
        pytest.param({"picture": SECRET}, id="something else"),
    ],
)
async def test_fields_that_are_no_envelope_are_delivered_raw_and_can_be_buried(queue, fields):
    await queue.append(FRAMES, fields)
    [message] = await receive(queue, "a")
    assert message.envelope is None
    assert dict(message.fields) == fields
    [taken] = await claimed(queue, "b")
    assert (taken.envelope, taken.attempts) == (None, 2)
    assert await bury(queue, taken, "unreadable")
    [record] = await dead_records(queue)
    assert not any(SECRET in value for value in record.values())


async def test_a_message_of_ten_megabytes_arrives(queue):
    body = b"x" * 10_000_000
    await queue.publish(FRAMES, envelope(queue, body))
    [message] = await receive(queue, "a")
    assert message.envelope.body == body


async def test_the_clock_never_runs_backwards_by_much_and_never_stands_still(queue):
    first_ms = queue.now_ms()

    async def has_moved_on() -> bool:
        await queue.ping()
        return queue.now_ms() > first_ms + 5

    await eventually(has_moved_on)

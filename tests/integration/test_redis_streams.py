"""What only a real Redis can show: outages, expiry, scripts, and two workers on one broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from fercore.contracts.errors import UpstreamUnavailable
from fercore.messaging.queue import (
    FACES,
    FRAMES,
    REPLY_STREAM_TTL_MS,
    WORK_STREAM_TTL_MS,
    WORKER_KEY_TTL_MS,
    Envelope,
    ReceivedMessage,
)
from fercore.messaging.redis_streams import RedisStreams
from tests.support.consuming import Counts, bury, consuming, die, echo, replies, send, settle, until
from tests.support.redis_server import RedisServer

Connect = Callable[..., RedisStreams]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make clients that are closed at the end."""
    made: list[RedisStreams] = []

    def connect(server: RedisServer, **options) -> RedisStreams:
        made.append(RedisStreams(server.url, **options))
        return made[-1]

    yield connect
    for queue in made:
        await queue.close()


@pytest.fixture
async def queue(connect, redis_server) -> RedisStreams:
    queue = connect(redis_server, timeout_s=10)
    await queue.ping()
    return queue


@pytest.fixture
async def raw(redis_server) -> AsyncIterator[Redis]:
    """A plain client, to look at what is there."""
    client = Redis.from_url(redis_server.url)
    yield client
    await client.aclose()


async def receive(queue: RedisStreams, worker_id: str) -> list[ReceivedMessage]:
    got = await queue.receive(FRAMES, worker_id, max_n=10, wait_ms=0)
    return got or await queue.receive(
        FRAMES, worker_id, max_n=10, wait_ms=0
    )  # the first may only make the group


async def answers(queue: RedisStreams) -> None:
    """Return when the broker answers again."""
    give_up = time.monotonic() + 20
    while True:
        try:
            return await queue.ping()
        except UpstreamUnavailable:
            assert time.monotonic() < give_up, "the broker does not come back"
            await asyncio.sleep(0.02)


def all_calls(queue: RedisStreams, message: ReceivedMessage) -> dict[str, asyncio.Future[object]]:
    calls = {
        "ping": queue.ping(),
        "publish": queue.publish(FRAMES, message.envelope),
        "receive": queue.receive(FRAMES, "a", max_n=1, wait_ms=200),
        "claim": queue.claim(FRAMES, "a", max_n=1),
        "settle": settle(queue, message, reply=message.envelope),
        "bury": bury(queue, message, "test"),
        "heartbeat": queue.heartbeat("detector", "a", b""),
        "withdraw": queue.withdraw(FRAMES, "a"),
        "offers": queue.offers("detector"),
        "receive_replies": queue.receive_replies("gateway", wait_ms=200),
        "backlog": queue.backlog(FRAMES),
        "vitals": queue.vitals(),
    }
    return {name: asyncio.ensure_future(call) for name, call in calls.items()}


@pytest.mark.parametrize("how", ["hangs", "is gone"])
async def test_every_call_says_in_bounded_time_that_the_broker_is_away(connect, own_redis_server, how):
    queue = connect(own_redis_server)
    await send_one(queue)
    [message] = await receive(queue, "a")
    if how == "hangs":
        own_redis_server.pause()
    else:
        own_redis_server.stop()
    started = time.monotonic()
    calls = all_calls(queue, message)
    await asyncio.wait(calls.values(), timeout=20)
    took_s = time.monotonic() - started
    faults = {name: call.exception() for name, call in calls.items()}
    assert {name for name, fault in faults.items() if not isinstance(fault, UpstreamUnavailable)} == set()
    assert all(fault.__cause__ is not None for fault in faults.values())
    assert took_s < 5  # about 2 s on a machine that has time
    if how == "hangs":
        own_redis_server.go_on()
        await answers(queue)


async def send_one(queue: RedisStreams, body: bytes = b"body") -> None:
    await queue.ping()
    await send(queue, body)


async def test_groups_are_made_again_after_the_broker_was_restarted(connect, own_redis_server):
    queue = connect(own_redis_server)
    await send_one(queue)
    await receive(queue, "a")
    own_redis_server.stop()
    with pytest.raises(UpstreamUnavailable):
        await queue.publish(FRAMES, Envelope("r", "gateway", 1.0, b"lost"))
    own_redis_server.start()
    await answers(queue)
    assert (await queue.claim(FRAMES, "a", max_n=1)).messages == []
    await send_one(queue, b"after")
    [message] = await receive(queue, "a")
    assert message.envelope.body == b"after"
    assert await settle(queue, message, reply=message.envelope)


async def test_a_group_is_made_again_for_a_worker_that_waits_while_all_is_flushed(queue, raw):
    await receive(queue, "a")
    got: list[ReceivedMessage] = []

    async def work() -> None:
        while not got:
            got.extend(await queue.receive(FRAMES, "a", max_n=1, wait_ms=500))

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        await raw.flushall()
        await send(queue, b"after")
    assert got[0].envelope.body == b"after"


async def test_a_message_ends_even_when_redis_has_forgotten_its_scripts(queue, raw):
    await send(queue, b"body")
    [message] = await receive(queue, "a")
    await raw.script_flush()
    assert await settle(queue, message)


async def test_a_message_ends_even_when_redis_is_out_of_memory(queue, raw):
    await send(queue, b"body")
    [message] = await receive(queue, "a")
    await raw.config_set("maxmemory", 1)
    try:
        with pytest.raises(UpstreamUnavailable):
            await queue.publish(FRAMES, message.envelope)
        assert await settle(queue, message, reply=message.envelope)
    finally:
        await raw.config_set("maxmemory", 0)
    assert len(await queue.receive_replies("gateway", wait_ms=0)) == 1


async def test_a_key_of_another_kind_is_reported_as_a_broker_that_cannot_be_used(queue, raw):
    await send(queue, b"body")
    [message] = await receive(queue, "a")
    await raw.set(FRAMES.stream, "no stream")
    for call in (receive(queue, "a"), settle(queue, message), queue.claim(FRAMES, "a", max_n=1)):
        with pytest.raises(UpstreamUnavailable):
            await call


async def test_replies_and_heartbeats_expire(queue, raw):
    await send(queue, b"a", b"b")
    for message in await receive(queue, "a"):
        await settle(queue, message, reply=message.envelope)
        assert REPLY_STREAM_TTL_MS - 10_000 < await raw.pttl("fer:reply:gateway") <= REPLY_STREAM_TTL_MS
        await raw.pexpire("fer:reply:gateway", 5000)  # the next reply gives it the full time again
    await queue.heartbeat("detector", "w", b"")
    assert 0 < await raw.pttl("fer:worker:detector:w") <= WORKER_KEY_TTL_MS


async def test_frames_that_nobody_takes_expire(queue, raw):
    await send(queue, b"a")
    assert WORK_STREAM_TTL_MS - 10_000 < await raw.pttl("fer:frames") <= WORK_STREAM_TTL_MS
    [message] = await receive(queue, "a")
    await settle(queue, message, forward=(FACES, message.envelope))
    assert WORK_STREAM_TTL_MS - 10_000 < await raw.pttl("fer:faces") <= WORK_STREAM_TTL_MS


async def test_nothing_of_a_frame_is_left_once_its_reply_was_read(queue, raw):
    await send(queue, b"secret face")
    [message] = await receive(queue, "a")
    await settle(queue, message, reply=message.envelope)
    await queue.receive_replies("gateway", wait_ms=0)
    await queue.receive_replies("gateway", wait_ms=0)
    for key in await raw.keys("*"):
        assert await raw.xlen(key) == 0
    assert (await raw.xpending(FRAMES.stream, FRAMES.service))["pending"] == 0


async def test_entries_that_are_gone_but_pending_are_acknowledged_away(queue, raw):
    await send(queue, b"a", b"b")
    gone, there = await receive(queue, "dead")
    await raw.xdel(FRAMES.stream, gone.message_id)
    taken = (await queue.claim(FRAMES, "alive", max_n=10)).messages
    assert [message.message_id for message in taken] == [there.message_id]
    assert (await raw.xpending(FRAMES.stream, FRAMES.service))["pending"] == 1


async def test_a_name_that_holds_something_is_never_removed(queue, raw):
    await send(queue, b"a", b"b", b"c")
    await receive(queue, "dead")
    await queue.claim(FRAMES, "alive", max_n=2)
    consumers = await raw.xinfo_consumers(FRAMES.stream, FRAMES.service)
    assert {c["name"]: c["pending"] for c in consumers} == {b"alive": 2, b"dead": 1}


async def test_two_clients_agree_on_the_time(connect, redis_server):
    one, other = connect(redis_server), connect(redis_server)
    for _ in range(5):
        await asyncio.gather(one.ping(), other.ping())
    difference_ms = one.now_ms() - other.now_ms()
    assert abs(difference_ms) < 100  # far less on a machine that has time


async def test_many_callers_wait_for_few_connections(connect, redis_server):
    queue = connect(redis_server, max_connections=3, timeout_s=30)
    await queue.ping()
    await asyncio.gather(*(send(queue, b"body") for _ in range(300)))
    assert (await queue.backlog(FRAMES)).depth == 300


async def test_a_call_that_was_cancelled_spoils_no_other(connect, redis_server):
    queue = connect(redis_server, max_connections=1, timeout_s=30)
    await queue.ping()
    for _ in range(20):
        waiting = asyncio.create_task(queue.receive(FRAMES, "a", max_n=1, wait_ms=20_000))
        await asyncio.sleep(0.005)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert (await queue.backlog(FRAMES)).depth == 0


async def test_a_publish_whose_answer_was_lost_is_not_sent_again():
    published = 0

    async def lose_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal published
        while command := await reader.read(65536):
            if b"XADD" in command:
                published += 1
                break
            writer.write(b"*2\r\n$1\r\n1\r\n$1\r\n0\r\n")  # the answer to TIME
        writer.close()

    async with await asyncio.start_server(lose_answers, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        queue = RedisStreams(f"redis://127.0.0.1:{port}")
        with pytest.raises(UpstreamUnavailable):
            await queue.publish(FRAMES, Envelope("r", "gateway", 1.0, b"once"))
        await queue.close()
    assert published == 1


async def test_a_worker_outlives_a_restart_of_its_broker(connect, own_redis_server, caplog):
    queue, counts = connect(own_redis_server), Counts()
    await queue.ping()
    async with consuming(queue, echo, counts=counts):
        await send(queue, b"before")
        assert [reply.body for reply in await replies(queue, 1)] == [b"before"]
        own_redis_server.stop()
        await until(lambda: "broker is away" in caplog.text)
        own_redis_server.start()
        await answers(queue)
        await send(queue, b"after")
        assert [reply.body for reply in await replies(queue, 1)] == [b"after"]
    assert counts.ended["done"] == 2
    assert caplog.text.count("broker is away") == 1


async def test_an_outcome_outlives_a_broker_that_hangs_for_a_while(connect, own_redis_server, caplog):
    queue, started, let_go = connect(own_redis_server, timeout_s=0.2), asyncio.Event(), asyncio.Event()
    await answers(queue)

    async def hold(messages):
        started.set()
        await let_go.wait()
        return await echo(messages)

    async with consuming(queue, hold):
        await send(queue, b"in hand")
        await started.wait()
        own_redis_server.pause()
        let_go.set()
        await until(lambda: "broker is away" in caplog.text)
        own_redis_server.go_on()
        await answers(queue)
        [reply] = await replies(queue, 1)
    assert reply.body == b"in hand"


async def test_what_a_killed_worker_held_is_finished_by_another_exactly_once(connect, redis_server):
    mine, others = connect(redis_server, timeout_s=10), connect(redis_server, timeout_s=10)
    await mine.ping()
    counts, held = Counts(), []

    async def hang(messages):
        held.extend(messages)
        await asyncio.Event().wait()

    await send(mine, b"a", b"b", b"c", b"d")
    async with consuming(mine, hang, worker_id="dies", max_batch=2, concurrency=2) as dying:
        await until(lambda: len(held) == 4)
        async with consuming(others, echo, worker_id="lives", counts=counts):
            await die(dying)
            got = await replies(others, 4)
            await until(lambda: counts.ended["done"] == 4)
    assert sorted(reply.body for reply in got) == [b"a", b"b", b"c", b"d"]
    assert counts.ended["taken_over"] == 4
    assert (await others.backlog(FRAMES)).depth == 0
    assert await others.receive_replies("gateway", wait_ms=1) == []


async def test_two_workers_share_a_stream_and_each_message_is_answered_once(connect, redis_server):
    queue, one, other = (connect(redis_server, timeout_s=10) for _ in range(3))
    await queue.ping()
    counts, counts_too = Counts(), Counts()
    async with (
        consuming(one, echo, worker_id="one", counts=counts, max_batch=4, concurrency=2),
        consuming(other, echo, worker_id="other", counts=counts_too, max_batch=4, concurrency=2),
    ):
        bodies = [str(number).encode() for number in range(200)]
        await asyncio.gather(*(send(queue, body) for body in bodies))
        got = await replies(queue, 200)
        await until(lambda: counts.ended["done"] + counts_too.ended["done"] == 200)
    assert sorted(reply.body for reply in got) == sorted(bodies)


async def test_a_wrong_password_is_told_from_a_broker_that_is_away(redis_server):
    queue = RedisStreams(redis_server.url.replace("redis://", "redis://:wr0ng@"), timeout_s=10)
    with pytest.raises(UpstreamUnavailable, match="refuses the password"):
        await queue.ping()
    await queue.close()

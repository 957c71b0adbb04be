"""What every queue promises of workers: dead and slow ones, offers, withdrawal; run against all of them."""

import time

from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.queue import FRAMES, MAX_ATTEMPTS, Channel, Queue
from fercore.messaging.redis_streams import RedisStreams
from tests.support.consuming import settle
from tests.support.queues import claimed, envelope, eventually, receive


async def consumer_names(queue: Queue, channel: Channel) -> set[str]:
    if isinstance(queue, InMemoryQueue):
        return set(queue._streams[channel.stream].consumers)
    assert isinstance(queue, RedisStreams)
    found = await queue._redis.xinfo_consumers(channel.stream, channel.service)
    return {consumer["name"].decode() for consumer in found}


async def test_messages_of_a_dead_worker_are_claimed_and_counted(queue):
    await queue.heartbeat("detector", "a", b"")
    await queue.publish(FRAMES, envelope(queue, b"orphan"))
    await receive(queue, "a")
    [second] = await claimed(queue, "b")  # when the announcement has run out
    assert second.envelope.body == b"orphan"
    assert second.attempts == 2
    [third] = await claimed(queue, "c")  # b never announced itself
    assert third.attempts == 3 > MAX_ATTEMPTS
    assert await settle(queue, third)


async def test_a_slow_worker_that_lives_keeps_its_message(queue):
    await queue.publish(FRAMES, envelope(queue))
    [message] = await receive(queue, "slow")
    give_up = time.monotonic() + 2.5  # longer than an announcement holds, and than idleness counts
    while time.monotonic() < give_up:
        await queue.heartbeat("detector", "slow", b"")
        assert (await queue.claim(FRAMES, "eager", max_n=10)).messages == []
    assert await settle(queue, message)


async def test_a_worker_never_takes_over_from_itself(queue):
    await queue.publish(FRAMES, envelope(queue))
    await receive(queue, "a")
    assert (await queue.claim(FRAMES, "a", max_n=10)).messages == []
    assert await consumer_names(queue, FRAMES) == {"a"}


async def test_no_more_is_claimed_than_asked_for(queue):
    for _ in range(5):
        await queue.publish(FRAMES, envelope(queue))
    await receive(queue, "a", max_n=3)
    await receive(queue, "b", max_n=2)
    assert len((await queue.claim(FRAMES, "c", max_n=4)).messages) == 4
    assert len((await queue.claim(FRAMES, "c", max_n=4)).messages) == 1


async def test_expired_messages_of_the_dead_are_dropped_not_handed_out(queue):
    await queue.publish(FRAMES, envelope(queue, left_ms=-1))
    await receive(queue, "a")
    found = await queue.claim(FRAMES, "b", max_n=10)
    assert found.messages == []
    assert found.expired == 1
    assert (await queue.backlog(FRAMES)).depth == 0


async def test_expired_messages_of_the_living_are_dropped_by_anyone(queue):
    await queue.publish(FRAMES, envelope(queue, left_ms=-1))
    [message] = await receive(queue, "slow")
    expired = 0

    async def is_dropped() -> bool:
        nonlocal expired
        await queue.heartbeat("detector", "slow", b"")
        found = await queue.claim(FRAMES, "b", max_n=10)
        assert found.messages == []
        expired += found.expired
        return expired == 1

    await eventually(is_dropped)
    assert (await queue.backlog(FRAMES)).depth == 0
    assert not await settle(queue, message, reply=envelope(queue))


async def test_offers_are_those_of_the_living_of_one_service(queue):
    await queue.heartbeat("detector", "a", b"yunet")
    await queue.heartbeat("detector", "b", b"haar")
    await queue.heartbeat("detector2", "c", b"other")
    assert await queue.offers("detector") == {"a": b"yunet", "b": b"haar"}
    await queue.heartbeat("detector", "a", b"retinaface")
    assert (await queue.offers("detector"))["a"] == b"retinaface"

    async def all_are_dead() -> bool:
        return await queue.offers("detector") == {}

    await eventually(all_are_dead)


async def test_a_worker_that_withdraws_is_forgotten_at_once(queue):
    await queue.heartbeat("detector", "a", b"")
    await receive(queue, "a")
    await queue.withdraw(FRAMES, "a")
    assert await queue.offers("detector") == {}
    assert await consumer_names(queue, FRAMES) == set()


async def test_a_worker_that_withdraws_with_work_in_hand_leaves_it_to_others(queue):
    await queue.heartbeat("detector", "a", b"")
    await queue.publish(FRAMES, envelope(queue))
    await receive(queue, "a")
    await queue.withdraw(FRAMES, "a")
    assert await consumer_names(queue, FRAMES) == {"a"}
    assert len((await queue.claim(FRAMES, "b", max_n=1)).messages) == 1


async def test_a_worker_may_withdraw_from_a_stream_that_never_was(queue):
    await queue.withdraw(FRAMES, "a")


async def test_names_of_dead_workers_do_not_accumulate(queue):
    for number in range(30):
        await queue.publish(FRAMES, envelope(queue))
        await receive(queue, f"dead-{number}", max_n=1)
    await queue.heartbeat("detector", "alive", b"")
    await queue.publish(FRAMES, envelope(queue))
    await receive(queue, "alive", max_n=1)
    while taken := (await queue.claim(FRAMES, "b", max_n=7)).messages:
        for message in taken:
            await settle(queue, message)
    assert await consumer_names(queue, FRAMES) - {"b"} == {"alive"}
    assert (await queue.backlog(FRAMES)).depth == 1

"""What every state store promises; run against all of them, the real Redis among them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from fercore.state import memory, redis
from fercore.state.memory import InMemoryState
from fercore.state.redis import RedisState
from fercore.state.store import Record, StateStore, Task

HOUR_S = 3600.0


@pytest.fixture(params=["memory", "redis"])
async def store(request):
    store: StateStore
    if request.param == "memory":
        store = InMemoryState()
    else:
        store = RedisState(request.getfixturevalue("redis_server").url, timeout_s=10)
    yield store
    await store.close()


async def put(store: StateStore, key: str, lifetime_s: float = HOUR_S, **fields: bytes) -> bool:
    [was_put] = await store.put([Record(key, fields)], lifetime_s=lifetime_s)
    return was_put


async def fields(store: StateStore, key: str) -> dict[str, bytes] | None:
    stored = await store.get(key)
    return None if stored is None else dict(stored.fields)


async def add(store: StateStore, *task_ids: str) -> list[bool]:
    return await store.add_tasks([Task(task_id, task_id.encode()) for task_id in task_ids])


async def leased(store: StateStore, *, max_n: int = 10, lease_s: float = HOUR_S) -> list[tuple[str, int]]:
    leases = await store.lease_tasks(max_n=max_n, lease_s=lease_s)
    return [(lease.task.task_id, lease.attempt) for lease in leases]


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    give_up = time.monotonic() + 20
    while not await check():
        assert time.monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.01)


async def test_fields_are_added_to_a_record_and_replaced_by_name(store):
    every_byte = bytes(range(256))
    assert await put(store, "a", x=b"1", y=b"1")
    assert await put(store, "a", y=every_byte, z=b"")
    assert await fields(store, "a") == {"x": b"1", "y": every_byte, "z": b""}
    assert await fields(store, "b") is None


async def test_many_records_are_put_at_once_each_with_its_own_answer(store):
    await put(store, "gone", x=b"1")
    await store.delete("gone", lifetime_s=HOUR_S)
    records = [Record(key, {"x": key.encode()}) for key in ("a", "gone", "b")]
    assert await store.put(records, lifetime_s=HOUR_S) == [True, False, True]
    assert await fields(store, "b") == {"x": b"b"}
    assert await store.put([], lifetime_s=HOUR_S) == []


async def test_a_record_expires_and_each_put_renews_it(store):
    await put(store, "a", lifetime_s=HOUR_S, x=b"1")
    await put(store, "a", lifetime_s=2 * HOUR_S, y=b"1")
    assert HOUR_S < (await store.get("a")).expires_in_s <= 2 * HOUR_S
    await put(store, "a", lifetime_s=0.05, y=b"2")

    async def is_gone() -> bool:
        return await store.get("a") is None

    await eventually(is_gone)
    assert await put(store, "a", y=b"3")
    assert await fields(store, "a") == {"y": b"3"}


async def test_a_deleted_record_stays_deleted_for_a_while(store):
    await put(store, "a", x=b"1")
    assert await store.delete("a", lifetime_s=0.2) is True
    assert await store.get("a") is None
    assert await put(store, "a", x=b"2") is False
    assert await store.get("a") is None

    async def may_be_put_again() -> bool:
        return await put(store, "a", y=b"3")

    await eventually(may_be_put_again)
    assert await fields(store, "a") == {"y": b"3"}


async def test_only_what_is_there_can_be_deleted_and_only_once(store):
    assert await store.delete("a", lifetime_s=HOUR_S) is False
    await put(store, "a", x=b"1")
    assert await store.delete("a", lifetime_s=HOUR_S) is True
    assert await store.delete("a", lifetime_s=HOUR_S) is False


async def test_what_never_was_is_not_marked_as_deleted(store):
    await store.delete("a", lifetime_s=HOUR_S)
    assert await put(store, "a", x=b"1")


async def test_a_task_goes_to_one_only(store):
    ids = [str(number) for number in range(10)]
    assert await add(store, *ids) == [True] * 10
    shares = await asyncio.gather(*(leased(store, max_n=4) for _ in range(4)))
    assert sorted(task_id for share in shares for task_id, _ in share) == ids
    assert await leased(store) == []


async def test_a_task_holds_its_body(store):
    await store.add_tasks([Task("a", bytes(range(256)))])
    [lease] = await store.lease_tasks(max_n=1, lease_s=HOUR_S)
    assert lease.task == Task("a", bytes(range(256)))


async def test_a_task_whose_lease_ran_out_is_taken_by_another_with_the_next_attempt(store):
    await add(store, "a")
    assert await leased(store, lease_s=0.05) == [("a", 1)]

    async def is_taken_again() -> bool:
        return await leased(store) == [("a", 2)]

    await eventually(is_taken_again)


async def test_a_finished_task_is_gone_whoever_finished_it(store):
    await add(store, "a", "b")
    first = await store.lease_tasks(max_n=2, lease_s=0.001)

    async def are_taken_again() -> bool:
        return len(await leased(store)) == 2

    await eventually(are_taken_again)
    for lease in first:
        await store.finish_task(lease)
    assert await add(store, "a") == [True]
    assert await leased(store) == [("a", 1)]


async def test_a_postponed_task_comes_later(store):
    await add(store, "soon", "late")
    soon, late = sorted(
        await store.lease_tasks(max_n=2, lease_s=HOUR_S), key=lambda lease: lease.task.task_id, reverse=True
    )
    await store.postpone_task(late, delay_s=HOUR_S)
    await store.postpone_task(soon, delay_s=0.05)

    async def soon_is_due() -> bool:
        return await leased(store) == [("soon", 2)]

    await eventually(soon_is_due)
    assert await leased(store) == []


async def test_who_lost_a_task_cannot_postpone_it(store):
    await add(store, "a")
    [lost] = await store.lease_tasks(max_n=1, lease_s=0.001)

    async def is_taken_again() -> bool:
        return await leased(store, lease_s=0.2) == [("a", 2)]

    await eventually(is_taken_again)
    await store.postpone_task(lost, delay_s=HOUR_S)

    async def is_due_when_the_second_lease_ends() -> bool:
        return await leased(store) == [("a", 3)]

    await eventually(is_due_when_the_second_lease_ends)


async def test_a_finished_task_cannot_be_postponed_back_to_life(store):
    await add(store, "a")
    [lease] = await store.lease_tasks(max_n=1, lease_s=HOUR_S)
    await store.finish_task(lease)
    await store.postpone_task(lease, delay_s=0)
    assert await leased(store) == []


async def test_adding_a_task_again_changes_nothing(store):
    await add(store, "a")
    assert await leased(store) == [("a", 1)]
    assert await add(store, "a") == [True]
    assert await leased(store) == []


async def test_the_backlog_is_bounded(store, monkeypatch):
    monkeypatch.setattr(memory, "MAX_TASKS", 2)
    monkeypatch.setattr(redis, "MAX_TASKS", 2)
    assert await add(store, "a", "b", "c") == [True, True, False]
    assert await add(store, "b") == [True]
    [first, _] = await store.lease_tasks(max_n=2, lease_s=HOUR_S)
    assert await add(store, "c") == [False]
    await store.finish_task(first)
    assert await add(store, "c") == [True]


async def test_a_task_that_nobody_finished_is_dropped_at_last(store, monkeypatch):
    monkeypatch.setattr(memory, "TASK_LIFETIME_S", 0.05)
    monkeypatch.setattr(redis, "TASK_LIFETIME_S", 0.05)
    monkeypatch.setattr(memory, "MAX_TASKS", 1)
    monkeypatch.setattr(redis, "MAX_TASKS", 1)
    await add(store, "a")

    async def there_is_room() -> bool:
        await leased(store, lease_s=0.001)
        return await add(store, "b") == [True]

    await eventually(there_is_room)
    assert await add(store, "a") == [False]

"""What only the in-memory store promises: an upper bound of its own."""

import pytest

from fercore.contracts.errors import UpstreamUnavailable
from fercore.state.memory import InMemoryState
from fercore.state.store import Record
from tests.support.clock import Clock

pytestmark = pytest.mark.anyio

HOUR_S = 3600.0


async def put(store: InMemoryState, key: str, **fields: bytes) -> None:
    await store.put([Record(key, fields)], lifetime_s=HOUR_S)


async def test_a_full_store_refuses_until_something_is_deleted_or_expires():
    clock = Clock()
    store = InMemoryState(clock=clock, max_bytes=100)
    await put(store, "a", x=b"1" * 60)
    with pytest.raises(UpstreamUnavailable, match="full"):
        await put(store, "b", x=b"1" * 60)
    assert await store.get("b") is None
    await put(store, "a", x=b"2" * 100)  # takes the place of the old
    await put(store, "a", x=b"3" * 40)
    await put(store, "b", x=b"1" * 60)
    with pytest.raises(UpstreamUnavailable, match="full"):
        await put(store, "c", x=b"1")
    assert await store.delete("a", lifetime_s=HOUR_S)
    await put(store, "c", x=b"1" * 40)
    clock.now_s += HOUR_S + 1
    await put(store, "d", x=b"1" * 100)

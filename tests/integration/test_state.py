"""What only a real Redis can show of the state store: outages, restarts, and two gateways that share it."""

import asyncio
import csv
import hashlib
import hmac
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from fercore.contracts.errors import UpstreamUnavailable
from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.redis_streams import RedisStreams
from fercore.service.metrics import Metrics
from fercore.state.redis import RedisState
from fercore.state.store import Lease, Record, Task
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.support.cluster import Service
from tests.support.images import no_face_jpeg
from tests.support.ports import free_port
from tests.support.receiver import Receiver, receiving
from tests.support.redis_server import RedisServer
from tests.support.streaming import Server, serving, streaming, working

pytestmark = pytest.mark.anyio

FRAME = no_face_jpeg()
RULE = {
    "name": "glad",
    "emotions": ["happiness"],
    "window_s": 1,
    "cooldown_s": 3600,
    "min_faces": 1,
}
SECRET = "hunter2"

StartGateway = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start_gateway(state_server) -> AsyncIterator[StartGateway]:
    """Start gateways, each with a queue and workers of its own; they share the state store."""
    async with AsyncExitStack() as stack:

        async def start_gateway(**settings) -> Server:
            queue = InMemoryQueue()
            given: dict[str, Any] = {"model": "a", "live_deadline_s": 5} | settings
            made = GatewaySettings(**given)
            store = RedisState(state_server.url, timeout_s=10)
            await stack.enter_async_context(working(queue))
            app = create_app(made, queue=queue, metrics=Metrics(), store=store)
            server = await stack.enter_async_context(serving(app, made))
            await until(lambda: is_ready(server))
            return server

        yield start_gateway


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    give_up = time.monotonic() + 30
    while not await check():
        assert time.monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.02)


async def ask(server: Server | Service, method: str, path: str, **options) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url) as client:
        return await client.request(method, path, **options)


async def is_ready(server: Server) -> bool:
    return (await ask(server, "GET", "/readyz")).status_code == 200


async def recorded(server: Server, *, seconds: float = 0, **options) -> str:
    """Stream until that time is over, and at least three frames; gives the session id."""
    async with streaming(server.url) as stream:
        await stream.send({"type": "start", "record": True, **options})
        session_id = (await stream.receive())["session_id"]
        end_s, frames = time.monotonic() + seconds, 0
        while frames < 3 or time.monotonic() < end_s:
            await stream.send(FRAME)
            while (await stream.receive())["type"] != "result":
                pass
            frames += 1
            await asyncio.sleep(0.02)
        await stream.stop()
    return session_id


async def test_any_gateway_tells_the_trend_of_any_session_and_deletes_it(start_gateway):
    one, other = await start_gateway(), await start_gateway()
    session_id = await recorded(one, label="front desk")
    path = f"/sessions/{session_id}/trend"
    as_told = [(await ask(server, "GET", path, params={"bucket": "1h"})).json() for server in (one, other)]
    assert as_told[0]["totals"] == as_told[1]["totals"]
    assert (as_told[1]["label"], as_told[1]["totals"]["emotion"]) == ("front desk", "happiness")
    assert as_told[1]["totals"]["frames"] >= 3
    table = await ask(other, "GET", path, params={"bucket": "1h"}, headers={"Accept": "text/csv"})
    assert len(list(csv.DictReader(io.StringIO(table.text)))) == 1
    assert (await ask(other, "DELETE", f"/sessions/{session_id}")).status_code == 204
    assert (await ask(one, "GET", path)).status_code == 404


async def test_a_trend_outlives_the_death_of_the_store(start_gateway, state_server):
    gateway = await start_gateway()
    session_id = await recorded(gateway)
    path = f"/sessions/{session_id}/trend"
    before = (await ask(gateway, "GET", path)).json()
    state_server.stop()
    assert (await ask(gateway, "GET", path)).json()["code"] == "upstream_unavailable"
    state_server.start()
    after = (await ask(gateway, "GET", path)).json()
    assert before["totals"]["frames"] >= 3
    assert after["totals"] == before["totals"]
    assert after["buckets"] == before["buckets"]


async def test_a_deleted_session_stays_deleted_though_its_stream_runs_and_the_store_restarts(
    start_gateway, state_server
):
    one, other = await start_gateway(), await start_gateway()
    async with streaming(one.url) as stream:
        await stream.send({"type": "start", "record": True}, FRAME)
        session_id = (await stream.receive())["session_id"]
        path = f"/sessions/{session_id}/trend"

        async def is_written() -> bool:
            return (await ask(other, "GET", path)).json()["totals"]["frames"] > 0

        await until(is_written)
        assert (await ask(other, "DELETE", f"/sessions/{session_id}")).status_code == 204
        state_server.stop()
        state_server.start()
        end_s = time.monotonic() + 2.5
        while time.monotonic() < end_s:
            await stream.send(FRAME)
            await stream.receive()
        await stream.stop()
    assert (await ask(other, "GET", path)).status_code == 404


async def test_frames_are_served_while_the_store_hangs_and_what_was_seen_is_written_later(
    start_gateway, state_server
):
    gateway = await start_gateway()
    async with streaming(gateway.url) as stream:
        await stream.send({"type": "start", "record": True})
        session_id = (await stream.receive())["session_id"]
        state_server.pause()
        slowest_s, frames, end_s = 0.0, 0, time.monotonic() + 2.5
        while time.monotonic() < end_s:
            start_s = time.monotonic()
            await stream.send(FRAME)
            assert (await stream.receive())["type"] == "result"
            slowest_s = max(slowest_s, time.monotonic() - start_s)
            frames += 1
            await asyncio.sleep(0.02)
        state_server.go_on()
        await stream.stop()
    assert slowest_s < 2
    trend = (await ask(gateway, "GET", f"/sessions/{session_id}/trend")).json()
    assert trend["totals"]["frames"] == frames


async def test_two_gateways_deliver_an_alert_once_though_the_first_try_fails(start_gateway):
    async with receiving(Receiver(500)) as receiver:
        webhook = {
            "webhook_url": f"http://127.0.0.1:{receiver.port}/",
            "webhook_secret": SECRET,
            "webhook_allow_private": True,
        }
        one, _ = await start_gateway(**webhook), await start_gateway(**webhook)
        session_id = await recorded(one, seconds=1.5, label="desk", alerts=[RULE])

        async def has_come_twice() -> bool:
            return len(receiver.received) >= 2

        await until(has_come_twice)
        await asyncio.sleep(1)  # a third would come within this
    first, second = receiver.received
    body = json.loads(second.body)
    assert first.body == second.body
    assert first.headers["x-fer-delivery"] == second.headers["x-fer-delivery"] == body["delivery_id"]
    assert (body["session_id"], body["label"], body["alert"]["rule"]) == (session_id, "desk", "glad")
    signed = second.headers["x-fer-timestamp"].encode() + b"." + second.body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert second.headers["x-fer-signature"] == f"sha256={digest}"
    trend = (await ask(one, "GET", f"/sessions/{session_id}/trend")).json()
    assert [alert["rule"] for alert in trend["alerts"]] == ["glad"]
    metrics = (await ask(one, "GET", "/metrics")).text
    assert 'fer_alerts_total{rule="session"} 1.0' in metrics


async def test_a_gateway_that_is_killed_loses_little_more_than_a_second(redis_server, state_server, tmp_path):
    environment = {"FER_REDIS_URL": redis_server.url, "FER_STATE_URL": state_server.url, "FER_MODEL": "a"}
    queue = RedisStreams(redis_server.url, timeout_s=10)
    await queue.ping()
    killed, other = (
        Service("gateway", free_port(), environment, tmp_path / f"{name}.log") for name in ("killed", "other")
    )
    try:
        async with working(queue):
            for gateway in (killed, other):
                gateway.start()
                await asyncio.to_thread(gateway.wait_until_ready)
            session_id, streamed_s = await streamed_until_killed(killed)
            trend = (await ask(other, "GET", f"/sessions/{session_id}/trend?bucket=1s")).json()
            last = datetime.fromisoformat(trend["buckets"][-1]["start"]) + timedelta(seconds=1)
            kept_s = (last - datetime.fromisoformat(trend["started_at"])).total_seconds()
            assert streamed_s - kept_s < 2
            assert trend["totals"]["frames"] > 10 * kept_s
    finally:
        killed.kill()
        other.stop()
        await queue.close()


async def streamed_until_killed(gateway: Service) -> tuple[str, float]:
    """Give the session, and how long it had lasted at its gateway's death."""
    async with streaming(gateway.url) as stream:
        await stream.send({"type": "start", "record": True})
        session_id, start_s = (await stream.receive())["session_id"], time.monotonic()
        while time.monotonic() < start_s + 4.9:
            await stream.send(FRAME)
            assert (await stream.receive())["type"] == "result"
        gateway.kill()
        return session_id, time.monotonic() - start_s


async def test_a_delivery_outlives_the_death_of_the_store(state_server):
    store = RedisState(state_server.url)
    await store.add_tasks([Task("a", b"body")])
    state_server.stop()
    state_server.start()
    assert await store.lease_tasks(max_n=1, lease_s=60) == [Lease(Task("a", b"body"), 1)]
    await store.close()


@pytest.mark.parametrize("how", ["hangs", "is gone"])
async def test_every_call_says_in_bounded_time_that_the_store_is_away(own_redis_server, how):
    store = RedisState(own_redis_server.url, timeout_s=0.5)
    task = Task("a", b"")
    await store.add_tasks([task])
    if how == "hangs":
        own_redis_server.pause()
    else:
        own_redis_server.stop()
    calls = {
        "put": store.put([Record("a", {"x": b"1"})], lifetime_s=60),
        "get": store.get("a"),
        "delete": store.delete("a", lifetime_s=60),
        "add_tasks": store.add_tasks([task]),
        "lease_tasks": store.lease_tasks(max_n=1, lease_s=60),
        "finish_task": store.finish_task(Lease(task, 1)),
        "postpone_task": store.postpone_task(Lease(task, 1), delay_s=1),
        "vitals": store.vitals(),
    }
    start_s = time.monotonic()
    answers = await asyncio.gather(*calls.values(), return_exceptions=True)
    assert time.monotonic() - start_s < 5
    for name, answer in zip(calls, answers, strict=True):
        assert isinstance(answer, UpstreamUnavailable), name
    if how == "hangs":
        own_redis_server.go_on()
    else:
        own_redis_server.start()
    assert await store.get("a") is None
    await store.close()


async def test_a_store_without_memory_refuses_and_deletes_all_the_same(state_server: RedisServer):
    store = RedisState(state_server.url)
    await store.put([Record("a", {"x": b"1" * 1_000_000})], lifetime_s=60)
    await store._redis.config_set("maxmemory", "1mb")
    assert (await store._redis.info("memory"))["used_memory"] > 1_100_000
    with pytest.raises(UpstreamUnavailable, match="cannot be used"):
        await store.put([Record("b", {"x": b"1"})], lifetime_s=60)
    assert await store.delete("a", lifetime_s=60)
    assert await store.get("a") is None
    await store.close()

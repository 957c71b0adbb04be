"""Clients of `WS /stream` that do not read, do not answer, vanish or flood, through a real uvicorn."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from services.gateway.live.stream import LiveStream
from services.gateway.pipeline import Pipeline
from tests.support.images import no_face_jpeg
from tests.support.live_gateway import Gate, frames_counted, gauge, living, until, until_ready
from tests.support.streaming import Server, result, working

pytestmark = pytest.mark.anyio

FRAME = no_face_jpeg()


class raw_client:  # noqa: N801 - used as a function
    """A client that has opened a stream and does by itself nothing more, not even read."""

    def __init__(self, server: Server, *, buffer_bytes: int | None = None) -> None:
        self._address = server.address
        self._buffer_bytes = buffer_bytes

    async def __aenter__(self):
        host, port = self._address.split(":")
        connection = socket.socket()
        if self._buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
        reader, self._writer = await asyncio.open_connection(sock=connection, limit=1024)
        self._writer.write(
            f"GET /stream HTTP/1.1\r\nHost: {self._address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        return reader, self._writer

    async def __aexit__(self, *_):
        self._writer.transport.abort()


def binary(payload: bytes) -> bytes:
    """A frame of RFC 6455 with a mask of zeros."""
    return b"\x82\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


async def pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while piece := await reader.read(65_536):
        yield piece


async def crowd(_job):
    """A worker's answer that is long: a hundred faces."""
    return result(*((x * 20, y * 20, 18, 18) for x in range(10) for y in range(10)))


async def test_a_client_that_answers_no_ping_is_cut(start_gateway, live_metrics):
    async with start_gateway(live_ping_interval_s=0.1, live_ping_timeout_s=0.1) as gateway:
        async with raw_client(gateway) as (reader, _):
            async with asyncio.timeout(10):
                sent = await reader.read()
        assert (1011).to_bytes(2, "big") in sent
        await until(lambda: gauge(live_metrics, "fer_streams") == 0)


async def test_a_client_that_does_not_read_is_closed_1013_and_costs_no_memory(
    start_gateway, flaky_queue, live_metrics
):
    buffered = []
    async with start_gateway(live_send_timeout_s=0.5) as gateway, working(flaky_queue, crowd):
        await until_ready(gateway)
        async with raw_client(gateway, buffer_bytes=4096) as (reader, writer):
            frame = binary(FRAME)
            async with asyncio.timeout(60):
                while gauge(live_metrics, "fer_streams"):
                    writer.write(frame)
                    await asyncio.sleep(0.002)
                    buffered += [
                        connection.transport.get_write_buffer_size()
                        for connection in gateway.uvicorn.server_state.connections
                    ]
            assert 0 < max(buffered) < 500_000
            async with asyncio.timeout(20):  # who reads at last finds out why
                left = b"".join([piece async for piece in pieces(reader)])
            assert left.endswith((1013).to_bytes(2, "big") + b"the client does not read")
        counted = frames_counted(live_metrics)
        assert counted["result"] > 0
        await until(lambda: not gateway.uvicorn.server_state.connections)
    assert gauge(live_metrics, "fer_inflight") == 0


async def test_a_client_that_never_reads_is_cut_in_bounded_time(
    start_gateway, flaky_queue, live_metrics, monkeypatch
):
    monkeypatch.setattr("fercore.service.websockets.CLOSE_TIMEOUT_S", 0.3)
    async with start_gateway(live_send_timeout_s=0.3) as gateway, working(flaky_queue, crowd):
        await until_ready(gateway)
        async with raw_client(gateway, buffer_bytes=4096) as (_, writer):
            async with asyncio.timeout(60):
                while gauge(live_metrics, "fer_streams"):
                    writer.write(binary(FRAME))
                    await asyncio.sleep(0.002)
            assert gateway.uvicorn.server_state.connections
            await until(lambda: not gateway.uvicorn.server_state.connections)


@pytest.mark.parametrize("ending", ["too large a frame", "no pong"])
async def test_who_does_not_read_is_cut_for_other_reasons_too(
    start_gateway, flaky_queue, live_metrics, monkeypatch, ending
):
    monkeypatch.setattr("fercore.service.websockets.CLOSE_TIMEOUT_S", 0.3)
    ping_s = 1.0 if ending == "no pong" else 60.0

    async with (
        start_gateway(live_send_timeout_s=60, live_ping_interval_s=ping_s, live_ping_timeout_s=2) as gateway,
        working(flaky_queue, crowd),
    ):
        await until_ready(gateway)
        async with raw_client(gateway, buffer_bytes=4096) as (_, writer):
            (connection,) = [
                each for each in gateway.uvicorn.server_state.connections if hasattr(each, "writable")
            ]

            def is_held_up() -> bool:  # or cut already: a slow machine takes longer than a pong may
                return not (connection.writable.is_set() and gateway.uvicorn.server_state.connections)

            sent = 0
            while not is_held_up():
                writer.write(binary(FRAME))
                sent += 1
                await until(
                    lambda sent=sent: frames_counted(live_metrics).get("result") == sent or is_held_up()
                )
            if ending == "too large a frame":
                writer.write(b"\x82\xff" + (50_000_000).to_bytes(8, "big") + bytes(4))
            await until(lambda: not gateway.uvicorn.server_state.connections)
            await until(lambda: gauge(live_metrics, "fer_streams") == 0)


async def test_fifty_clients_that_vanish_leave_nothing_behind(gateway, flaky_queue, live_metrics, observer):
    gate = Gate()
    async with working(flaky_queue, gate):
        await until_ready(gateway)
        tasks_before, streams_before = len(asyncio.all_tasks()), living(LiveStream)
        for number in range(50):
            async with raw_client(gateway) as (_, writer):
                for _ in range(number % 5):  # none, in flight, one waiting, some dropped
                    writer.write(binary(FRAME))
                if number % 2:
                    await until(lambda n=number: gauge(live_metrics, "fer_inflight") == min(3, n % 5))
        await until(lambda: observer.ended == 50)
        gate.let_go(*range(200))
        await until(lambda: len(asyncio.all_tasks()) <= tasks_before)
        assert living(LiveStream) == streams_before
        assert not any(pipeline._waiting for pipeline in living(Pipeline))
    assert gauge(live_metrics, "fer_inflight") == 0
    assert gauge(live_metrics, "fer_streams") == 0
    assert not gateway.uvicorn.server_state.tasks
    assert set(frames_counted(live_metrics)) <= {"dropped"}


async def test_a_flood_of_small_messages_leaves_the_others_their_turn(gateway, flaky_queue, live_metrics):
    answered, longest_run = 0, 0
    async with raw_client(gateway) as (reader, writer):
        draining = asyncio.create_task(reader.read(2**20))
        writer.write(binary(b"") * 2000)
        refused = live_metrics.stream_frames.labels("refused")
        async with asyncio.timeout(60):
            while answered < 2000:
                (sample,) = (one for one in refused.collect()[0].samples if one.name.endswith("_total"))
                before, answered = answered, int(sample.value)
                longest_run = max(longest_run, answered - before)
                await asyncio.sleep(0)  # the others: each gets a turn after every message
        assert longest_run < 50
        draining.cancel()

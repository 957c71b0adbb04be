"""Bad input, faults and rude clients on `WS /stream`, through a real uvicorn; the workers are the test's."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed

from fercore.contracts.errors import InvalidImage, UpstreamUnavailable
from fercore.contracts.messages import encode_error
from services.gateway.live.session import Session, _Frame
from services.gateway.pipeline import Pipeline
from services.gateway.settings import GatewaySettings
from tests.bad_inputs import png_claiming
from tests.live_gateway import Gate, frames_counted, gauge, living, until, until_ready
from tests.pictures import no_face_jpeg
from tests.streaming import Server, assert_accounted, one_face, result, streaming, working

pytestmark = pytest.mark.anyio

FRAME = no_face_jpeg()
START = {"type": "start"}


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


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (FRAME[: len(FRAME) // 2], "invalid_image"),
        (b"", "invalid_image"),
        (png_claiming(30_000, 30_000), "invalid_image"),
        (b"text", "unsupported_media"),
    ],
    ids=["half an image", "empty", "bomb", "no image"],
)
async def test_a_bad_frame_is_an_error_of_its_own_and_the_stream_goes_on(
    gateway, flaky_queue, live_metrics, frame, code
):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(frame)
            error = await stream.receive()
            assert (error["type"], error["seq"], error["code"]) == ("error", 0, code)
            assert error["request_id"].endswith("-0")
            await stream.send(FRAME)
            assert (await stream.receive())["type"] == "result"
            (stats,) = await stream.stop()
            assert (stats["received"], stats["results"], stats["errors"]) == (2, 1, 1)
    assert frames_counted(live_metrics) == {"refused": 1, "result": 1}


async def test_a_bad_frame_never_takes_the_place_of_a_good_one(gateway, flaky_queue):
    gate = Gate()
    async with working(flaky_queue, gate):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(FRAME, FRAME, FRAME, b"junk")
            assert (await stream.receive())["seq"] == 3
            gate.let_go(0, 1, 2)
            assert [(await stream.receive())["seq"] for _ in range(3)] == [0, 1, 2]


async def test_a_workers_fault_and_a_late_answer_are_errors_of_their_frames(
    start_gateway, flaky_queue, live_metrics
):
    answers = iter([encode_error(InvalidImage("cut short")), None])

    async def answer(job):
        try:
            return next(answers)
        except StopIteration:
            return await one_face(job)

    async with start_gateway(live_deadline_s=0.3) as gateway, working(flaky_queue, answer):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            codes = []
            for _ in range(3):
                await stream.send(FRAME)
                codes.append((await stream.receive()).get("code"))
            assert codes == ["invalid_image", "deadline_exceeded", None]
            (stats,) = await stream.stop()
            assert (stats["received"], stats["results"], stats["errors"]) == (3, 1, 2)
    assert frames_counted(live_metrics) == {"refused": 1, "failed": 1, "result": 1}


async def test_a_frame_that_waited_too_long_is_not_even_sent_to_a_worker(live_metrics):
    nobody = None  # whoever is asked for anything fails the test
    session = Session(
        nobody,
        "stream",
        pipeline=nobody,
        directory=nobody,
        intake=nobody,
        memory=nobody,
        settings=GatewaySettings(live_deadline_s=0.3),
        metrics=live_metrics,
    )
    late = _Frame(0, FRAME, "stream-0", time.monotonic() - 0.4, nobody)
    assert (await session._analyze(late)).code == "deadline_exceeded"


async def test_a_frame_without_a_permit_is_overloaded_and_the_stream_goes_on(start_gateway, flaky_queue):
    gate = Gate()
    async with start_gateway(max_inflight=1) as gateway, working(flaky_queue, gate):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(FRAME, FRAME)
            error = await stream.receive()
            assert (error["seq"], error["code"]) == (1, "overloaded")
            gate.let_go(0, 1)
            assert (await stream.receive())["seq"] == 0
            await stream.send(FRAME)
            assert (await stream.receive())["seq"] == 2


async def test_a_frame_that_is_too_large_closes_1009_and_is_not_counted(gateway, flaky_queue, live_metrics):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(FRAME)
            await stream.receive()
            start_s = time.monotonic()
            with pytest.raises(ConnectionClosed):
                await stream.send(bytes(50_000_000))
            await stream.rest()
            assert stream.close_code == 1009
            assert time.monotonic() - start_s < 4
    assert frames_counted(live_metrics) == {"result": 1}
    await until(lambda: not gateway.uvicorn.server_state.connections)


async def test_a_lost_queue_is_an_error_a_frame_and_the_stream_resumes(gateway, flaky_queue):
    gate = Gate()
    async with working(flaky_queue, gate):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(FRAME)
            await until(lambda: gate.arrived == 1)
            flaky_queue.is_away = True
            assert (await stream.receive())["code"] == "upstream_unavailable"
            await stream.send(FRAME)
            assert (await stream.receive())["code"] == "upstream_unavailable"
            flaky_queue.is_away = False
            gate.let_go(*range(1, 100))
            async with asyncio.timeout(10):
                answer = {"type": "error"}
                while answer["type"] != "result":
                    await stream.send(FRAME)
                    answer = await stream.receive()
            await stream.stop()


async def test_a_jump_of_the_clock_changes_nothing(gateway, flaky_queue, monkeypatch, remembering):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            for seconds in (0, 86_400, -86_400, 10**9):
                now_s = time.time() + seconds
                monkeypatch.setattr(time, "time", lambda now_s=now_s: now_s)
                await stream.send(FRAME)
                answer = await stream.receive()
                assert answer["faces"][0]["face_id"] == 1
    times = [observation.at_s for observation in remembering.observed]
    assert times == sorted(times)
    assert times[-1] - times[0] < 20


async def test_a_silent_client_is_closed_politely(start_gateway):
    async with start_gateway(live_idle_s=0.2) as gateway, streaming(gateway.url) as stream:
        (stats,) = await stream.rest()
        assert_accounted(stats)
        assert (stream.close_code, stream.connection.close_reason) == (1000, "idle")


async def test_a_client_that_answers_no_ping_is_cut(start_gateway, live_metrics):
    async with start_gateway(live_ping_interval_s=0.1, live_ping_timeout_s=0.1) as gateway:
        async with raw_client(gateway) as (reader, _):
            async with asyncio.timeout(10):
                sent = await reader.read()
        assert (1011).to_bytes(2, "big") in sent
        await until(lambda: gauge(live_metrics, "fer_streams") == 0)


async def test_one_stream_too_many_is_told_so(start_gateway, live_metrics, remembering):
    async with start_gateway(live_max_streams=1) as gateway, streaming(gateway.url) as stream:
        await stream.send(START)
        await stream.receive()
        assert gauge(live_metrics, "fer_streams") == 1
        async with streaming(gateway.url) as refused:
            error, stats = await refused.rest()
            assert (error["code"], error["seq"]) == ("overloaded", None)
            assert stats["received"] == 0
            assert refused.close_code == 1013
        await until(lambda: remembering.ended == 1)
        await stream.stop()
        await until(lambda: gauge(live_metrics, "fer_streams") == 0)
        async with streaming(gateway.url) as again:
            await again.send(START)
            assert (await again.receive())["type"] == "started"


async def test_a_server_that_ends_lets_frames_finish_and_says_1001(start_gateway, flaky_queue, live_metrics):
    gate = Gate()
    async with start_gateway() as gateway, working(flaky_queue, gate):
        await until_ready(gateway)
        async with streaming(gateway.url) as busy, streaming(gateway.url) as quiet:
            await quiet.send(START)
            await quiet.receive()
            await busy.send(FRAME)
            await until(lambda: gate.arrived == 1)
            ending = asyncio.create_task(gateway.stop())
            (stats,) = await quiet.rest()
            assert (stats["received"], quiet.close_code) == (0, 1001)
            gate.let_go(0)
            answer, stats = await busy.rest()
            assert (answer["type"], stats["results"], busy.close_code) == ("result", 1, 1001)
            await ending


async def test_a_record_that_cannot_be_kept_is_told_and_closes_1013(gateway, remembering):
    remembering.fault = UpstreamUnavailable("the state store is away")
    async with streaming(gateway.url) as stream:
        await stream.send({"type": "start", "record": True})
        error, _ = await stream.rest()
        assert (error["code"], stream.close_code) == ("upstream_unavailable", 1013)


async def test_a_bug_closes_1011_after_the_stats_and_tells_nothing(gateway, flaky_queue, remembering, caplog):
    def observe(_):
        raise ZeroDivisionError("secret")

    remembering.observe = observe
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(FRAME, FRAME, FRAME)
            *_, stats = await stream.rest()
            assert_accounted(stats)
            assert stats["received"] == 3
            assert stream.close_code == 1011
            assert "secret" not in stream.connection.close_reason
    assert "secret" in caplog.text
    assert remembering.ended == 1


async def test_a_client_that_does_not_read_is_closed_1013_and_costs_no_memory(
    start_gateway, flaky_queue, live_metrics
):
    async def crowd(job):
        return result(*((x * 20, y * 20, 18, 18) for x in range(10) for y in range(10)))

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

    async def crowd(job):
        return result(*((x * 20, y * 20, 18, 18) for x in range(10) for y in range(10)))

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

    async def crowd(job):
        return result(*((x * 20, y * 20, 18, 18) for x in range(10) for y in range(10)))

    async with (
        start_gateway(live_send_timeout_s=60, live_ping_interval_s=ping_s, live_ping_timeout_s=2) as gateway,
        working(flaky_queue, crowd),
    ):
        await until_ready(gateway)
        async with raw_client(gateway, buffer_bytes=4096) as (_, writer):
            (connection,) = [
                each for each in gateway.uvicorn.server_state.connections if hasattr(each, "writable")
            ]
            sent = 0
            while connection.writable.is_set():
                writer.write(binary(FRAME))
                sent += 1
                await until(
                    lambda sent=sent: (
                        frames_counted(live_metrics).get("result") == sent or not connection.writable.is_set()
                    )
                )
            if ending == "too large a frame":
                writer.write(b"\x82\xff" + (50_000_000).to_bytes(8, "big") + bytes(4))
            await until(lambda: not gateway.uvicorn.server_state.connections)
            await until(lambda: gauge(live_metrics, "fer_streams") == 0)


async def test_fifty_clients_that_vanish_leave_nothing_behind(
    gateway, flaky_queue, live_metrics, remembering
):
    gate = Gate()
    async with working(flaky_queue, gate):
        await until_ready(gateway)
        tasks_before, sessions_before = len(asyncio.all_tasks()), living(Session)
        for number in range(50):
            async with raw_client(gateway) as (_, writer):
                for _ in range(number % 5):  # none, in flight, one waiting, some dropped
                    writer.write(binary(FRAME))
                if number % 2:
                    await until(lambda n=number: gauge(live_metrics, "fer_inflight") == min(3, n % 5))
        await until(lambda: remembering.ended == 50)
        gate.let_go(*range(200))
        await until(lambda: len(asyncio.all_tasks()) <= tasks_before)
        assert living(Session) == sessions_before
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
        async with asyncio.timeout(20):
            while answered < 2000:
                before, answered = answered, int(frames_counted(live_metrics).get("refused", 0))
                longest_run = max(longest_run, answered - before)
                await asyncio.sleep(0)  # the others: each gets a turn after every message
        assert longest_run < 50
        draining.cancel()

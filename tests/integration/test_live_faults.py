"""Bad input and faults on `WS /stream`, through a real uvicorn; the workers are the test's."""

import asyncio
import io
import time

import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed

from fercore.contracts.errors import DeadlineExceeded, InvalidImage, UpstreamUnavailable
from fercore.contracts.messages import encode_error
from services.gateway.live.stream import LiveStream
from services.gateway.live.window import Frame
from services.gateway.settings import GatewaySettings
from tests.support.bad_inputs import png_claiming
from tests.support.images import encoded, no_face_jpeg
from tests.support.live_gateway import Gate, frames_counted, gauge, until, until_ready
from tests.support.streaming import assert_accounted, one_face, streaming, working

pytestmark = pytest.mark.anyio

FRAME = no_face_jpeg()
START = {"type": "start"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (encoded(Image.open(io.BytesIO(FRAME)), "PNG")[:-20], "invalid_image"),
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
    stream = LiveStream(
        nobody,
        "stream",
        pipeline=nobody,
        directory=nobody,
        intake=nobody,
        observer=nobody,
        settings=GatewaySettings(live_deadline_s=0.3),
        metrics=live_metrics,
    )
    late = Frame(0, FRAME, "stream-0", time.monotonic() - 0.4, nobody)
    outcome = await stream._analyze(late)
    assert isinstance(outcome, DeadlineExceeded)


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


async def test_a_jump_of_the_clock_changes_nothing(gateway, flaky_queue, monkeypatch, observer):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            for seconds in (0, 86_400, -86_400, 10**9):
                now_s = time.time() + seconds
                monkeypatch.setattr(time, "time", lambda now_s=now_s: now_s)
                await stream.send(FRAME)
                answer = await stream.receive()
                assert answer["faces"][0]["face_id"] == 1
    times = [observation.at_s for observation in observer.observed]
    assert times == sorted(times)
    assert times[-1] - times[0] < 20


async def test_a_silent_client_is_closed_politely(start_gateway):
    async with start_gateway(live_idle_s=0.2) as gateway, streaming(gateway.url) as stream:
        (stats,) = await stream.rest()
        assert_accounted(stats)
        assert (stream.close_code, stream.connection.close_reason) == (1000, "idle")


async def test_one_stream_too_many_is_told_so(start_gateway, live_metrics, observer):
    async with start_gateway(live_max_streams=1) as gateway, streaming(gateway.url) as stream:
        await stream.send(START)
        await stream.receive()
        assert gauge(live_metrics, "fer_streams") == 1
        async with streaming(gateway.url) as refused:
            error, stats = await refused.rest()
            assert (error["code"], error["seq"]) == ("overloaded", None)
            assert stats["received"] == 0
            assert refused.close_code == 1013
        await until(lambda: observer.ended == 1)
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


async def test_a_record_that_cannot_be_kept_is_told_and_closes_1013(gateway, observer):
    observer.fault = UpstreamUnavailable("the state store is away")
    async with streaming(gateway.url) as stream:
        await stream.send({"type": "start", "record": True})
        error, _ = await stream.rest()
        assert (error["code"], stream.close_code) == ("upstream_unavailable", 1013)


async def test_a_bug_closes_1011_after_the_stats_and_tells_nothing(gateway, flaky_queue, observer, caplog):
    def observe(_):
        raise ZeroDivisionError("secret")

    observer.observe = observe
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
    assert observer.ended == 1

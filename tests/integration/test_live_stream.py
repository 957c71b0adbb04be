"""`WS /stream` through a real uvicorn and a real client; the workers are the test's."""

import asyncio
import json
import logging

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from fercore.contracts.live import Alert
from fercore.service.logging import JsonFormatter
from tests.support.images import no_face_jpeg
from tests.support.live_gateway import Gate, frames_counted, gauge, until, until_ready
from tests.support.streaming import assert_accounted, one_face, streaming, working

pytestmark = pytest.mark.anyio

FRAME = no_face_jpeg()
ABC = {"X-Request-ID": "abc"}
START = {"type": "start"}


async def test_a_frame_is_answered_with_a_followed_face(gateway, flaky_queue):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send({"type": "start", "smoothing": 3}, FRAME)
            assert await stream.receive() == {"type": "started", "session_id": None}
            answer = await stream.receive()
            assert (answer["type"], answer["seq"]) == ("result", 0)
            (face,) = answer["faces"]
            assert face["face_id"] == 1
            assert face["smoothed"]["emotion"] == face["emotion"] == "happiness"
            (stats,) = await stream.stop()
            assert stats == {"type": "stats", "received": 1, "results": 1, "dropped": 0, "errors": 0}


async def test_start_may_be_left_out_and_the_older_path_is_served_too(gateway, flaky_queue):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url, "/v1/stream") as stream:
            for seq in range(3):
                await stream.send(FRAME)
                answer = await stream.receive()
                assert (answer["seq"], answer["faces"][0]["face_id"]) == (seq, 1)


async def test_the_options_travel_with_every_frame(gateway, flaky_queue):
    jobs = []

    async def note(job):
        jobs.append(job)
        return await one_face(job)

    async with working(flaky_queue, note):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send({"type": "start", "max_faces": 7, "min_face_px": 99, "model": "a"}, FRAME)
            await stream.receive()
            await stream.receive()
    assert (jobs[0].options.max_faces, jobs[0].options.min_face_px, jobs[0].model) == (7, 99, "a")
    assert jobs[0].image == FRAME


async def test_two_frames_are_in_flight_and_the_newest_takes_the_only_place_behind_them(
    gateway, flaky_queue, live_metrics
):
    gate = Gate()
    async with working(flaky_queue, gate):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(*[FRAME] * 6)
            assert [await stream.receive() for _ in range(3)] == [
                {"type": "dropped", "seq": seq, "reason": "superseded"} for seq in (2, 3, 4)
            ]
            assert gate.arrived == 2
            assert gauge(live_metrics, "fer_inflight") == 3
            gate.let_go(0, 1, 2)
            assert [(await stream.receive())["seq"] for _ in range(3)] == [0, 1, 5]
            (stats,) = await stream.stop()
            assert (stats["received"], stats["results"], stats["dropped"]) == (6, 3, 3)
    assert frames_counted(live_metrics) == {"result": 3, "dropped": 3}
    assert gauge(live_metrics, "fer_inflight") == 0


async def test_results_come_in_the_order_of_their_frames(gateway, flaky_queue, observer):
    gate = Gate()
    async with working(flaky_queue, gate):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(FRAME, FRAME, FRAME)
            gate.let_go(1)
            await until(lambda: gate.arrived == 2)
            await asyncio.sleep(0.1)  # the second result would come within this
            assert observer.observed == []
            gate.let_go(0, 2)
            assert [(await stream.receive())["seq"] for _ in range(3)] == [0, 1, 2]
    times = [observation.at_s for observation in observer.observed]
    assert times == sorted(times)


async def test_a_thousand_frames_at_once_are_each_answered_once(gateway, flaky_queue, live_metrics):
    async def soon(job):
        await asyncio.sleep(0.02)
        return await one_face(job)

    async with working(flaky_queue, soon):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            messages = asyncio.create_task(stream.rest())
            await stream.send(*[FRAME] * 1000, {"type": "stop"})
            *answers, stats = await messages
    assert sorted(answer["seq"] for answer in answers) == list(range(1000))
    results = [answer["seq"] for answer in answers if answer["type"] == "result"]
    assert results == sorted(results)
    assert results[-1] == 999
    assert stats["received"] == 1000
    assert_accounted(stats)
    assert stats["dropped"] > 0
    assert sum(frames_counted(live_metrics).values()) == 1000


async def test_stop_waits_for_the_frames_that_were_sent(gateway, flaky_queue):
    gate = Gate()
    async with working(flaky_queue, gate):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(FRAME, FRAME, FRAME, {"type": "stop"})
            await until(lambda: gate.arrived == 2)
            gate.let_go(0, 1, 2)
            messages = await stream.rest()
            assert [message["type"] for message in messages] == ["result"] * 3 + ["stats"]
            assert stream.close_code == 1000


@pytest.mark.parametrize(
    ("text", "close_code"),
    [
        ("hello", 1003),
        ("", 1003),
        ("[]", 1003),
        ('{"type": "frame"}', 1003),
        ("{" + " " * 20_000 + "}", 1009),
        ('{"type": "start", "smoothing": 0}', 1008),
        ('{"type": "start", "colour": "red"}', 1008),
        ('{"type": "start", "model": "../../etc/passwd"}', 1008),
        ('{"type": "start", "label": ""}', 1008),
        ('{"type": "start", "alerts": [{"emotions": []}]}', 1008),
        ('{"type": "stop", "now": true}', 1008),
    ],
)
@pytest.mark.parametrize("is_midway", [False, True])
async def test_wrong_text_is_told_and_ends_the_stream(gateway, flaky_queue, text, close_code, is_midway):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            if is_midway:
                await stream.send(FRAME)
                await stream.receive()
            await stream.send(text)
            error, stats = await stream.rest()
            assert (error["type"], error["seq"], error["code"]) == ("error", None, "invalid_request")
            assert stats["received"] == is_midway
            assert_accounted(stats)
            assert stream.close_code == close_code


@pytest.mark.parametrize("first", [START, FRAME], ids=["start", "frame"])
async def test_start_must_come_first_and_once(gateway, flaky_queue, first):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(first)
            await stream.receive()
            await stream.send(START)
            error, _ = await stream.rest()
            assert (error["code"], stream.close_code) == ("invalid_request", 1008)


@pytest.mark.parametrize(("option", "offered"), [("model", "a"), ("detector", "ferface")])
async def test_what_nobody_offers_is_told_with_what_there_is(gateway, flaky_queue, option, offered):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send({"type": "start", option: "nobody"})
            error, stats = await stream.rest()
            assert error["code"] == f"unknown_{option}"
            assert offered in error["detail"]
            assert (stats["received"], stream.close_code) == (0, 1008)


async def test_without_workers_a_stream_opens_and_its_frames_say_why_not(gateway):
    async with streaming(gateway.url) as stream:
        await stream.send({"type": "start", "model": "a"}, FRAME)
        assert (await stream.receive())["type"] == "started"
        assert (await stream.receive())["code"] == "not_ready"


async def test_pages_of_other_origins_are_refused_before_anything_is_opened(start_gateway, caplog):
    async with start_gateway(allowed_origins="https://a.example, http://b:8000") as gateway:
        for origin in (None, f"http://{gateway.address}", "https://a.example", "http://b:8000"):
            async with streaming(gateway.url, origin=origin) as stream:
                await stream.send(START)
                assert (await stream.receive())["type"] == "started"
        for origin in (
            "https://evil.example",
            "https://a.example.evil",
            "null",
            "http://[",
            "https://a.example:1",
        ):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{gateway.address}/stream", origin=Origin(origin), additional_headers=ABC)
            response = refused.value.response
            assert response.status_code == 403
            assert response.headers["content-type"] == "application/problem+json"
            problem = json.loads(response.body)
            assert (problem["code"], problem["request_id"]) == ("forbidden", "abc")
    assert not [record for record in caplog.records if record.name == "uvicorn.error"]


async def test_what_is_seen_is_remembered_and_alerts_are_sent(gateway, flaky_queue, observer):
    observer.alerts = (
        Alert(rule="negative", emotions=("fear",), share=0.7, window_s=60, at="2026-11-21T12:00:00Z"),
    )
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send({"type": "start", "record": True, "label": "a talk"}, FRAME)
            assert (await stream.receive())["session_id"] == "ab" * 16
            assert (await stream.receive())["type"] == "result"
            alert = await stream.receive()
            assert (alert["type"], alert["rule"], alert["share"]) == ("alert", "negative", 0.7)
    assert [options.label for options in observer.begun] == ["a talk"]
    (face,) = observer.observed[0].faces
    assert (face.face_id, face.emotion) == (1, "happiness")
    assert sum(face.probabilities.values()) == pytest.approx(1)
    await until(lambda: observer.ended == 1)


async def test_every_frame_has_a_request_id_of_its_stream_in_the_log_too(gateway, flaky_queue):
    lines = []

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(json.loads(JsonFormatter("gateway").format(record)))

    handler = Lines(logging.DEBUG)
    log = logging.getLogger("services.gateway.live.stream")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        async with working(flaky_queue):
            await until_ready(gateway)
            async with streaming(gateway.url, additional_headers=ABC) as stream:
                await stream.send(FRAME)
                assert (await stream.receive())["request_id"] == "abc-0"
                await stream.stop()
            await until(lambda: len(lines) == 2)
    finally:
        log.setLevel(logging.NOTSET)
        log.removeHandler(handler)
    frame, end = lines
    assert (frame["event"], frame["request_id"]) == ("live frame", "abc-0")
    assert frame["details"] == {"outcome": "result"}
    assert (end["event"], end["request_id"], end["details"]["close_code"]) == ("a stream ended", "abc", 1000)

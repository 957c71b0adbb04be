"""The SDK's streams against a scripted server: one event a frame, options, nothing left behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from ferclient import (
    Alert,
    AsyncClient,
    FrameDropped,
    FrameFailed,
    FrameResult,
    Refused,
    StreamOptions,
    StreamStats,
)
from fercore.contracts.emotions import Emotion
from fercore.version import VERSION
from tests.support.ferserver import LIVE_FACE, Session, stream_server, usual
from tests.support.ferstream import events_of, names, numbered

pytestmark = pytest.mark.anyio

ALERT = {
    "rule": "negative",
    "emotions": ["anger"],
    "share": 0.7,
    "window_s": 60,
    "at": "2026-11-21T10:00:00Z",
}


async def test_every_frame_comes_back_under_the_callers_own_name_and_stats_come_last():
    async with stream_server(usual) as url:
        events = await events_of(url, numbered(20))
    assert names(events, FrameResult) == [f"frame-{n}" for n in range(20)]
    assert events[0].result.faces[0].face_id == 1
    assert events[-1] == StreamStats(received=20, results=20, dropped=0, errors=0)
    assert len(events) == 21


async def test_a_stream_names_the_client_and_its_version():
    seen = []

    async def script(session: Session) -> None:
        assert session.socket.request is not None
        seen.append(session.socket.request.headers["User-Agent"])
        await usual(session)

    async with stream_server(script) as url:
        await events_of(url, numbered(1))
    assert seen == [f"ferclient/{VERSION}"]


async def test_options_are_sent_as_start_and_only_those_that_were_set():
    seen = []

    async def script(session: Session) -> None:
        await session.begin("a" * 32)
        seen.append(session.start)
        await session.answer_all()

    async with stream_server(script) as url, AsyncClient(url) as client:
        async with client.stream(StreamOptions(record=True, model="cnn3")) as stream:
            assert stream.session_id == "a" * 32
        async with client.stream():
            pass
    assert seen == [{"type": "start", "record": True, "model": "cnn3"}, {"type": "start"}]


async def test_at_most_two_frames_are_unanswered():
    most = 0

    async def script(session: Session) -> None:
        nonlocal most
        await session.begin()
        unanswered: list[int] = []
        while len(unanswered) < 2:
            unanswered.append((await session.frame())[0])
        for _ in range(10):
            try:
                async with asyncio.timeout(0.05):
                    unanswered.append((await session.frame())[0])
            except TimeoutError:
                most = max(most, len(unanswered))
                await session.result(unanswered.pop(0))
                unanswered.append((await session.frame())[0])
        for seq in unanswered:
            await session.result(seq)
        await session.answer_all()

    async with stream_server(script) as url:
        events = await events_of(url, numbered(12))
    assert most == 2
    assert len(names(events, FrameResult)) == 12


async def test_live_the_newest_frame_wins_and_the_source_never_waits():
    all_given = asyncio.Event()

    async def camera() -> AsyncIterator[tuple[int, bytes]]:
        for n in range(100):
            yield n, b"x"
            await asyncio.sleep(0)
        all_given.set()

    async def script(session: Session) -> None:
        await session.begin()
        first = await session.frame()
        await all_given.wait()
        await session.result(first[0])
        await session.answer_all()

    async with stream_server(script) as url:
        events = await events_of(url, camera(), is_lossless=False)
    shown = names(events, FrameResult)
    assert len(shown) <= 4
    assert shown[-1] == 99
    assert shown == sorted(shown)


async def test_dropped_and_failed_frames_are_told_by_name():
    async def script(session: Session) -> None:
        await session.begin()
        await session.dropped((await session.frame())[0])
        await session.error((await session.frame())[0], "deadline_exceeded")
        await session.answer_all()

    gate = asyncio.Event()

    async def slow() -> AsyncIterator[tuple[str, bytes]]:
        yield "first", b"1"
        await asyncio.wait_for(gate.wait(), 10)
        yield "second", b"2"

    events = []
    async with (
        stream_server(script) as url,
        AsyncClient(url) as client,
        client.stream() as stream,
    ):
        async for event in stream.frames(slow()):
            events.append(event)
            gate.set()
    assert events[0] == FrameDropped("first")
    assert events[1] == FrameFailed("second", "deadline_exceeded", "it is deadline_exceeded", "r-1")
    assert events[2] == StreamStats(received=2, results=0, dropped=1, errors=1)


async def test_lossless_a_dropped_or_busily_refused_frame_is_sent_again():
    async def script(session: Session) -> None:
        await session.begin()
        await session.dropped((await session.frame())[0])
        await session.error((await session.frame())[0], "overloaded")
        await session.answer_all()

    async with stream_server(script) as url:
        events = await events_of(url, numbered(5))
    assert sorted(names(events, FrameResult)) == [f"frame-{n}" for n in range(5)]
    assert not names(events, FrameDropped) + names(events, FrameFailed)


async def test_lossless_a_frame_that_is_refused_for_good_fails_at_once_and_a_busy_one_in_time():
    async def script(session: Session) -> None:
        await session.begin()
        await session.error((await session.frame())[0], "invalid_image")
        while (found := await session.frame()) is not None:
            await session.error(found[0], "overloaded")
        await session.end()

    async with stream_server(script) as url:
        events = await events_of(url, numbered(2), patience_s=0.4)
    assert [(event.frame, event.code) for event in events[:-1]] == [
        ("frame-0", "invalid_image"),
        ("frame-1", "overloaded"),
    ]


async def test_options_that_the_server_refuses_are_refused_at_the_door():
    async def script(session: Session) -> None:
        await session.socket.recv()
        await session.error(None, "unknown_model")
        await session.socket.close(1008, "unknown_model")

    async with stream_server(script) as url, AsyncClient(url) as client:
        with pytest.raises(Refused, match="unknown_model") as caught:
            async with client.stream(StreamOptions(model="nobody")):
                pass
    assert caught.value.status is None


async def test_unknown_messages_and_fields_are_ignored_but_no_frame_is_forgotten():
    async def script(session: Session) -> None:
        await session.begin()
        await session.say("weather", sunny=True)
        await session.socket.send("no json")
        newer = LIVE_FACE | {"mood": "good"}
        await session.result((await session.frame())[0], faces=[newer], news=1)
        await session.result((await session.frame())[0], faces=None)
        await session.say("error", seq=(await session.frame())[0], code="new", detail="d", request_id="r")
        await session.answer_all()

    async with stream_server(script) as url:
        events = await events_of(url, numbered(4))
    assert events[0].result.faces[0].emotion is Emotion.HAPPINESS
    assert [(event.frame, event.code) for event in events[1:3]] == [
        ("frame-1", "unreadable_answer"),
        ("frame-2", "new"),
    ]
    assert names(events[3:], FrameResult) == ["frame-3"]


async def test_alerts_come_as_they_are():
    async def script(session: Session) -> None:
        await session.begin()
        await session.say("alert", **ALERT)
        await session.answer_all()

    async with stream_server(script) as url:
        events = await events_of(url, numbered(1))
    (alert,) = [event for event in events if isinstance(event, Alert)]
    assert alert.rule == "negative"


async def test_a_source_that_fails_fails_the_caller():
    def source() -> Iterator[tuple[int, bytes]]:
        yield 0, b"x"
        raise ZeroDivisionError("the camera fell")

    async with stream_server(usual) as url:
        with pytest.raises(ZeroDivisionError, match="the camera fell"):
            await events_of(url, source())


async def test_breaking_off_leaves_no_task():
    before = asyncio.all_tasks()
    async with stream_server(usual) as url:
        async with AsyncClient(url) as client, client.stream() as stream:
            async for _ in stream.frames(numbered(10_000)):
                break
        own = {task for task in asyncio.all_tasks() - before if "ferclient" in repr(task)}
    assert not own


async def test_a_stream_that_was_not_entered_says_so():
    async with AsyncClient() as client:
        with pytest.raises(RuntimeError, match="enter the stream first"):
            await anext(client.stream().frames(numbered(1)))

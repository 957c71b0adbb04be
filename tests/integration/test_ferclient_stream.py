"""The SDK's streams against a scripted server: one event a frame, reconnects, nothing left behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ferclient import (
    Alert,
    AsyncClient,
    Client,
    FrameDropped,
    FrameFailed,
    FrameResult,
    Reconnected,
    Refused,
    StreamClosed,
    StreamOptions,
    StreamStats,
    Unreachable,
    UnreadableAnswer,
)
from fercore.contracts.emotions import Emotion
from fercore.version import VERSION
from tests.support.ferserver import LIVE_FACE, Session, stream_server, usual
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio

ALERT = {
    "rule": "negative",
    "emotions": ["anger"],
    "share": 0.7,
    "window_s": 60,
    "at": "2026-11-21T10:00:00Z",
}


def numbered(count: int) -> Iterator[tuple[str, bytes]]:
    """Frames by names of the caller's own."""
    return ((f"frame-{n}", b"%d" % n) for n in range(count))


def names(events, kind) -> list[Any]:
    return [event.frame for event in events if isinstance(event, kind)]


async def events_of(url: str, source, *, is_lossless=True, options=None, patience_s=5.0) -> list:
    async with (
        AsyncClient(url, patience_s=patience_s) as client,
        client.stream(options) as stream,
    ):
        return [event async for event in stream.frames(source, is_lossless=is_lossless)]


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


def breaks_with(code: int, after: int = 3):
    async def script(session: Session) -> None:
        await session.begin("1" * 32)
        for _ in range(after):
            await session.result((await session.frame())[0])
        await session.frame()
        if code == 1006:
            session.socket.transport.abort()
        else:
            await session.say("stats", **session.counts)
            await session.socket.close(code, "bye")

    return script


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1012, 1013])
async def test_a_gateway_that_goes_away_in_mid_stream_is_connected_again_and_nothing_is_lost(code):
    async with stream_server(breaks_with(code), usual) as url:
        events = await events_of(url, numbered(8))
    assert names(events, FrameResult) == [f"frame-{n}" for n in range(8)]
    (again,) = [event for event in events if isinstance(event, Reconnected)]
    assert again.close_code == code
    assert again.session_id is None
    assert 0 < again.away_s < 5
    assert [event for event in events if isinstance(event, StreamStats)] == [events[-1]]


async def test_live_what_was_unanswered_when_the_connection_broke_has_failed():
    gate = asyncio.Event()

    async def camera() -> AsyncIterator[tuple[int, bytes]]:
        yield 0, b"x"
        await asyncio.wait_for(gate.wait(), 10)
        yield 1, b"y"

    events: list[Any] = []
    async with (
        stream_server(breaks_with(1001, after=0), usual) as url,
        AsyncClient(url) as client,
        client.stream() as stream,
    ):
        async for event in stream.frames(camera()):
            events.append(event)
            gate.set()
    assert events[0].frame == 0
    assert events[0].code == "connection_lost"
    assert isinstance(events[1], Reconnected)
    assert events[2].frame == 1


async def test_a_frame_that_always_ends_the_connection_is_given_up():
    async def script(session: Session) -> None:
        await session.begin()
        while (found := await session.frame()) is not None:
            if found[1] == b"2":
                return session.socket.transport.abort()
            await session.result(found[0])
        return await session.end()

    async with stream_server(script) as url:
        events = await events_of(url, numbered(4))
    assert {"frame-0", "frame-1"} <= set(names(events, FrameResult))
    assert "frame-2" in names(events, FrameFailed)
    assert len(names(events, FrameResult)) + len(names(events, FrameFailed)) == 4


async def test_a_gateway_that_stays_away_is_unreachable_within_the_patience():
    async def goes(session: Session) -> None:
        await session.begin()
        await session.result((await session.frame())[0])
        session.socket.transport.abort()

    async def source() -> AsyncIterator[tuple[int, bytes]]:
        for n in range(1000):
            yield n, b"x"

    async def refuses(session: Session) -> None:
        session.socket.transport.abort()

    start = time.monotonic()
    async with stream_server(goes, refuses) as url:
        with pytest.raises(Unreachable):
            await events_of(url, source(), patience_s=0.5)
    assert time.monotonic() - start < 10


async def test_a_port_where_nobody_listens_is_unreachable():
    async with AsyncClient(f"http://127.0.0.1:{free_port()}", patience_s=0) as client:
        with pytest.raises(Unreachable):
            await client.models()


async def test_nobody_there_is_unreachable():
    async with AsyncClient(f"http://127.0.0.1:{free_port()}", patience_s=0) as client:
        with pytest.raises(Unreachable):
            async with client.stream():
                pass


async def test_a_server_that_comes_up_late_is_waited_for():
    port = free_port()
    async with AsyncClient(f"http://127.0.0.1:{port}", patience_s=20) as client:
        entering = asyncio.create_task(client.stream().__aenter__())
        await asyncio.sleep(0.2)
        async with stream_server(usual, port=port):
            stream = await entering
            events = [event async for event in stream.frames(numbered(1))]
            await stream.__aexit__(None, None, None)
    assert names(events, FrameResult) == ["frame-0"]


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


@pytest.mark.parametrize("code", [1003, 1008, 1009])
async def test_a_close_for_good_is_raised_with_its_code(code):
    async with stream_server(breaks_with(code)) as url:
        with pytest.raises(StreamClosed, match=f"{code} bye") as caught:
            await events_of(url, numbered(8))
    assert caught.value.close_code == code


async def test_something_else_behind_the_address_is_said_so():
    async def garbage(reader, writer) -> None:
        await reader.read(10)
        writer.write(b"SSH-2.0-nothing\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(garbage, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncClient(url, patience_s=0) as client:
            with pytest.raises(UnreadableAnswer):
                async with client.stream():
                    pass


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


async def test_a_stream_can_be_used_without_awaiting():
    async with stream_server(breaks_with(1001), usual) as url:

        def work() -> list:
            with Client(url) as client, client.stream() as stream:
                return list(stream.frames(numbered(8), is_lossless=True))

        events = await asyncio.to_thread(work)
    assert names(events, FrameResult) == [f"frame-{n}" for n in range(8)]
    assert any(isinstance(event, Reconnected) for event in events)


async def test_a_server_that_only_says_goodbye_is_not_asked_for_ever():
    async def drains(session: Session) -> None:
        await session.begin()
        await session.say("stats", **session.counts)
        await session.socket.close(1001, "the server shuts down")

    start = time.monotonic()
    async with stream_server(drains) as url:
        with pytest.raises(Unreachable):
            await events_of(url, numbered(3), patience_s=0.5)
    assert time.monotonic() - start < 10


async def test_a_stream_that_was_idle_for_long_begins_each_loss_with_new_patience():
    gate = asyncio.Event()
    lives = 0

    async def idle(session: Session) -> None:
        nonlocal lives
        lives += 1
        await session.begin()
        await asyncio.sleep(0.25)
        if lives == 4:
            gate.set()
            await session.answer_all()
        await session.socket.close(1000, "idle")

    async def rare() -> AsyncIterator[tuple[str, bytes]]:
        await asyncio.wait_for(gate.wait(), 10)
        yield "late", b"1"

    async with stream_server(idle) as url:
        events = await events_of(url, rare(), patience_s=0.2)
    assert names(events, FrameResult) == ["late"]
    assert sum(isinstance(event, Reconnected) for event in events) == 3


async def test_a_stream_that_was_not_entered_says_so():
    async with AsyncClient() as client:
        with pytest.raises(RuntimeError, match="enter the stream first"):
            await anext(client.stream().frames(numbered(1)))

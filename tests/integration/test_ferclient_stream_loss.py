"""The SDK's streams when a connection breaks or none is made: reconnects, patience, what is given up."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ferclient import (
    AsyncClient,
    Client,
    FrameFailed,
    FrameResult,
    Reconnected,
    StreamClosed,
    StreamStats,
    Unreachable,
    UnreadableAnswer,
)
from tests.support.ferserver import Session, stream_server, usual
from tests.support.ferstream import events_of, names, numbered
from tests.support.ports import free_port

pytestmark = pytest.mark.anyio


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
        stream = client.stream()
        entering = asyncio.create_task(stream.__aenter__())
        async with asyncio.timeout(20):
            while stream._patience is None or not stream._patience._tries:  # until nobody was there once
                await asyncio.sleep(0.01)
        async with stream_server(usual, port=port):
            await entering
            events = [event async for event in stream.frames(numbered(1))]
            await stream.__aexit__(None, None, None)
    assert names(events, FrameResult) == ["frame-0"]


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
        await asyncio.sleep(0.25)  # longer than the client's patience
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

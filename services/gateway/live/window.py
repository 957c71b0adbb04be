"""The frames of one live stream that are not answered yet: few at a time, the newest first, in their order.

Knows neither WebSocket nor pipeline; what is done with a frame is the stream's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from fercore.service.admission import Permit

MAX_IN_FLIGHT = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """One admitted frame.

    Attributes:
        seq: its place in the stream, from 0.
        image: encoded, checked by its header.
        request_id: of this frame alone.
        received_at_s: monotonic seconds.
        permit: held until the frame is analysed or dropped.
    """

    seq: int
    image: bytes
    request_id: str
    received_at_s: float
    permit: Permit


WaitForTurn = Callable[[], Awaitable[object]]
"""Returns once the frame before has been answered."""

Serve = Callable[[Frame, WaitForTurn], Awaitable[None]]
"""Analyses a frame, waits for its turn and answers it; also gives back its permit."""


class FrameWindow:
    """Serves at most `MAX_IN_FLIGHT` frames at a time while its block runs; one more waits, the newest.

    The block ends when all frames are answered. If it fails, frames in flight are cancelled and those not yet
    begun are dropped.

    Args:
        serve: called in a task of its own for each frame; what it raises ends the block.
        count_dropped: called for each frame that is dropped before it is served.
    """

    def __init__(self, serve: Serve, count_dropped: Callable[[], None]) -> None:
        self._serve = serve
        self._count_dropped = count_dropped
        self._tasks = asyncio.TaskGroup()
        self._in_flight = 0
        self._unbegun: dict[int, Frame] = {}
        self._waiting: Frame | None = None
        self._last_answered = asyncio.Event()
        self._last_answered.set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._tasks.__aexit__(kind, error, trace)
        finally:
            unbegun = [*self._unbegun.values(), self._waiting]
            self._unbegun, self._waiting = {}, None
            for frame in filter(None, unbegun):
                self._drop(frame)

    def add(self, frame: Frame) -> Frame | None:
        """Serve a frame at once if there is room, else let it wait.

        Returns:
            The frame that waited until now and is superseded, its permit given back; None if there is none.
        """
        if self._in_flight < MAX_IN_FLIGHT:
            self._start(frame)
            return None
        superseded, self._waiting = self._waiting, frame
        if superseded is not None:
            self._drop(superseded)
        return superseded

    def _start(self, frame: Frame) -> None:
        self._in_flight += 1
        self._unbegun[frame.seq] = frame  # a task that is cancelled before it began never runs
        before, self._last_answered = self._last_answered, asyncio.Event()
        self._tasks.create_task(self._run(frame, before, self._last_answered))

    async def _run(self, frame: Frame, before: asyncio.Event, answered: asyncio.Event) -> None:
        del self._unbegun[frame.seq]
        try:
            await self._serve(frame, before.wait)
        finally:
            self._in_flight -= 1
            answered.set()
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._start(waiting)

    def _drop(self, frame: Frame) -> None:
        with frame.permit:
            self._count_dropped()

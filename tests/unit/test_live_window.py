"""The frames of a live stream that are not answered yet; who serves them is the test."""

import asyncio

import pytest

from fercore.service.admission import Admission
from fercore.service.metrics import Metrics
from services.gateway.live.window import MAX_IN_FLIGHT, Frame, FrameWindow

pytestmark = pytest.mark.anyio


class Bench:
    """A window, the permits of its frames, and a worker that answers when the test says so."""

    def __init__(self) -> None:
        self.admission = Admission(max_inflight=100, max_inflight_bytes=100, gauge=Metrics().inflight)
        self.done: dict[int, asyncio.Future[None]] = {}
        self.answered: list[int] = []
        self.dropped = 0
        self.window = FrameWindow(self._serve, self._count_dropped)

    def add(self, seq: int) -> Frame | None:
        permit = self.admission.permit()
        permit.take(1, 1)
        return self.window.add(Frame(seq, b"x", f"stream-{seq}", 0.0, permit))

    async def _serve(self, frame, wait_for_turn) -> None:
        self.done[frame.seq] = asyncio.get_running_loop().create_future()
        with frame.permit:
            await self.done[frame.seq]
        await wait_for_turn()
        self.answered.append(frame.seq)

    def _count_dropped(self) -> None:
        self.dropped += 1


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_few_frames_are_served_at_a_time_and_the_newest_waits():
    bench = Bench()
    async with bench.window:
        superseded = [bench.add(seq) for seq in range(MAX_IN_FLIGHT + 3)]
        await settle()
        assert list(bench.done) == [0, 1]
        assert [frame.seq for frame in superseded if frame is not None] == [2, 3]
        assert (bench.dropped, bench.admission.inflight) == (2, MAX_IN_FLIGHT + 1)
        bench.done[0].set_result(None)
        await settle()
        assert list(bench.done) == [0, 1, 4]
        for seq in (1, 4):
            bench.done[seq].set_result(None)
    assert bench.answered == [0, 1, 4]
    assert bench.admission.inflight == 0


async def test_answers_keep_the_order_of_their_frames():
    bench = Bench()
    async with bench.window:
        bench.add(0)
        bench.add(1)
        await settle()
        bench.done[1].set_result(None)
        await settle()
        assert bench.answered == []
        bench.done[0].set_result(None)
    assert bench.answered == [0, 1]


async def test_the_frame_that_waits_is_served_before_the_block_ends():
    bench = Bench()

    async def finish() -> None:
        for seq in range(3):
            while seq not in bench.done:
                await asyncio.sleep(0)
            bench.done[seq].set_result(None)

    async with asyncio.TaskGroup() as group, bench.window:
        for seq in range(3):
            bench.add(seq)
        group.create_task(finish())
    assert bench.answered == [0, 1, 2]


async def fail_while_two_are_served(bench: Bench, *, frees_a_place: bool = False) -> None:
    async with bench.window:
        for seq in range(3):
            bench.add(seq)
        await settle()
        bench.done[1].set_exception(ZeroDivisionError())
        if (
            frees_a_place
        ):  # in the same turn of the loop, so that the third frame has a task which never begins
            bench.done[0].set_result(None)
        await asyncio.Event().wait()


@pytest.mark.parametrize("frees_a_place", [False, True])
async def test_a_failed_block_cancels_drops_and_gives_back_all_permits(frees_a_place):
    bench = Bench()
    with pytest.raises(ExceptionGroup) as failed:
        await fail_while_two_are_served(bench, frees_a_place=frees_a_place)
    assert failed.group_contains(ZeroDivisionError)
    assert bench.answered == ([0] if frees_a_place else [])
    assert bench.dropped == 1
    assert bench.admission.inflight == 0

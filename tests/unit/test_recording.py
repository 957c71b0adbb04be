"""Recorded sessions on their way to the store: by the second, bounded, and never against a client's will."""

import asyncio
import gc
import weakref
from datetime import UTC, datetime

import pytest

from fercore.contracts.emotions import Emotion
from fercore.contracts.errors import InternalError, UpstreamUnavailable
from fercore.contracts.live import Alert
from fercore.service.metrics import Metrics
from fercore.state.memory import InMemoryState
from services.gateway.live.observer import Observation, ObservedFace
from services.gateway.recordings import recorder as recorder_module
from services.gateway.recordings import recording as recording_module
from services.gateway.recordings import stored
from services.gateway.recordings.recorder import Recorder
from services.gateway.recordings.recording import Recording
from services.gateway.recordings.stored import FaceSecond, StoredRecording
from tests.support.clock import Clock

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
HAPPY = {Emotion.NEUTRAL: 0.25, Emotion.HAPPINESS: 0.75}
LIFETIME_S = 1000.0


class FlakyState(InMemoryState):
    """A store that can be away, and counts round trips."""

    is_away = False
    round_trips = 0

    async def put(self, records, *, lifetime_s):
        self.round_trips += 1
        if self.is_away:
            raise UpstreamUnavailable("the store is away")
        return await super().put(records, lifetime_s=lifetime_s)


@pytest.fixture
def clock() -> Clock:
    return Clock(5000.0)


@pytest.fixture
def store(clock) -> FlakyState:
    return FlakyState(clock=clock)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def recorder(store, metrics, clock) -> Recorder:
    return Recorder(store, metrics, lifetime_s=LIFETIME_S, clock=clock)


async def begin(recorder: Recorder, clock: Clock, label: str | None = None) -> Recording:
    return await recorder.begin(zero_s=clock.now_s, started_at=START, label=label)


def see(recording: Recording, clock: Clock, *face_ids: int, emotion=Emotion.HAPPINESS) -> None:
    faces = tuple(ObservedFace(face_id, emotion, HAPPY) for face_id in face_ids)
    recording.see(Observation(clock.now_s, faces))


async def kept(store: InMemoryState, recording: Recording) -> StoredRecording | None:
    record = await store.get(recording.session_id)
    return None if record is None else stored.read(record.fields)


async def rows(store: InMemoryState, recording: Recording) -> dict[int, list[FaceSecond]]:
    found: dict[int, list[FaceSecond]] = {}
    for second, face in (await kept(store, recording)).rows():
        found.setdefault(second, []).append(face)
    return found


def lost(metrics: Metrics, reason: str) -> float | None:
    return metrics.registry.get_sample_value("fer_session_rows_lost_total", {"reason": reason})


def alert() -> Alert:
    return Alert(rule="negative", emotions=(Emotion.FEAR,), share=0.7, window_s=10, at=START)


async def test_a_session_is_there_as_soon_as_it_has_begun(recorder, store, clock):
    recording = await begin(recorder, clock, "Füße ☕")
    found = await kept(store, recording)
    assert (found.head.started_at, found.head.label) == (START, "Füße ☕")
    assert (found.seconds, found.alerts) == ({}, [])
    assert len(recording.session_id) == 32
    assert recording.session_id != (await begin(recorder, clock)).session_id


async def test_frames_are_summed_up_by_the_second_and_the_face(recorder, store, clock):
    recording = await begin(recorder, clock)
    see(recording, clock, 1, 2)
    clock.now_s += 0.9
    see(recording, clock, 1, emotion=Emotion.FEAR)
    clock.now_s += 1.2
    see(recording, clock, 2)
    await recorder.end(recording)
    neutral, happy, fear = 0, 1, 6
    assert await rows(store, recording) == {
        0: [
            FaceSecond(1, 2, {happy: 1, fear: 1}, {neutral: 500_000, happy: 1_500_000}),
            FaceSecond(2, 1, {happy: 1}, {neutral: 250_000, happy: 750_000}),
        ],
        2: [FaceSecond(2, 1, {happy: 1}, {neutral: 250_000, happy: 750_000})],
    }


async def test_only_seconds_that_are_over_are_written_and_a_silent_camera_does_not_hold_them_up(
    recorder, store, clock
):
    recording = await begin(recorder, clock)
    see(recording, clock, 1)
    clock.now_s += 0.9
    await recorder.write()
    assert (await kept(store, recording)).seconds == {}
    clock.now_s += 0.2
    await recorder.write()
    assert list((await kept(store, recording)).seconds) == [0]


async def test_all_sessions_are_written_in_one_round_trip_and_idle_ones_not_at_all(recorder, store, clock):
    recordings = [await begin(recorder, clock) for _ in range(5)]
    for recording in recordings[:3]:
        see(recording, clock, 1)
    clock.now_s += 1
    before = store.round_trips
    await recorder.write()
    await recorder.write()
    assert store.round_trips == before + 1
    assert [len((await kept(store, recording)).seconds) for recording in recordings] == [1, 1, 1, 0, 0]


async def test_a_frame_that_comes_late_is_counted_and_changes_nothing_that_was_written(
    recorder, store, clock
):
    recording = await begin(recorder, clock)
    see(recording, clock, 1)
    clock.now_s += 1.1
    await recorder.write()
    recording.see(Observation(clock.now_s - 0.5, (ObservedFace(1, Emotion.HAPPINESS, HAPPY),)))
    await recorder.end(recording)
    frames = {second: face.frames for second, [face] in (await rows(store, recording)).items()}
    assert frames == {0: 1, 1: 1}


async def test_alerts_are_events_of_the_session(recorder, store, clock):
    recording = await begin(recorder, clock)
    recording.fire(alert())
    recording.fire(alert())
    await recorder.write()
    assert (await kept(store, recording)).alerts == [alert(), alert()]


async def test_no_more_events_than_are_allowed(recorder, store, clock, monkeypatch):
    monkeypatch.setattr(recording_module, "MAX_ALERTS", 2)
    recording = await begin(recorder, clock)
    for _ in range(5):
        recording.fire(alert())
    await recorder.end(recording)
    assert len((await kept(store, recording)).alerts) == 2


async def test_while_the_store_is_away_the_latest_is_kept_and_the_rest_counted(
    recorder, store, clock, metrics, monkeypatch
):
    monkeypatch.setattr(recording_module, "MAX_WAITING_SECONDS", 3)
    recording = await begin(recorder, clock)
    store.is_away = True
    for _ in range(10):
        see(recording, clock, 1, 2)
        clock.now_s += 1
        await recorder.write()
    store.is_away = False
    await recorder.write()
    assert sorted((await kept(store, recording)).seconds) == [7, 8, 9]
    assert lost(metrics, "store_away") == 14


async def test_a_session_begun_while_the_store_was_away_is_there_when_it_is_back(recorder, store, clock):
    store.is_away = True
    recording = await begin(recorder, clock, "early")
    see(recording, clock, 1)
    clock.now_s += 1
    await recorder.write()
    assert await kept(store, recording) is None
    store.is_away = False
    await recorder.write()
    found = await kept(store, recording)
    assert (found.head.label, list(found.seconds)) == ("early", [0])


async def test_nothing_is_left_of_sessions_that_ended(recorder, store, clock):
    left: weakref.WeakSet[Recording] = weakref.WeakSet()
    for number in range(50):
        recording = await begin(recorder, clock)
        left.add(recording)
        see(recording, clock, 1)
        if number % 2:
            await store.delete(recording.session_id, lifetime_s=LIFETIME_S)
        await recorder.end(recording)
    del recording
    gc.collect()
    assert len(left) == 0


async def test_a_session_that_ended_while_the_store_was_away_is_written_later(recorder, store, clock):
    recording = await begin(recorder, clock)
    see(recording, clock, 1)
    store.is_away = True
    await recorder.end(recording)
    store.is_away = False
    await recorder.write()
    assert list((await kept(store, recording)).seconds) == [0]
    before = store.round_trips
    clock.now_s += LIFETIME_S / 2
    await recorder.write()
    assert store.round_trips == before  # it is forgotten here


async def test_of_many_that_ended_while_the_store_was_away_the_oldest_is_lost(
    recorder, store, clock, metrics, monkeypatch
):
    monkeypatch.setattr(recorder_module, "MAX_ENDED", 2)
    recordings = [await begin(recorder, clock) for _ in range(3)]
    store.is_away = True
    for recording in recordings:
        see(recording, clock, 1)
        await recorder.end(recording)
    store.is_away = False
    await recorder.write()
    assert [len((await kept(store, recording)).seconds) for recording in recordings] == [0, 1, 1]
    assert lost(metrics, "store_away") == 1


async def test_a_crowd_is_cut_off(recorder, store, clock, metrics, monkeypatch):
    monkeypatch.setattr(recording_module, "MAX_FACES_A_SECOND", 3)
    recording = await begin(recorder, clock)
    see(recording, clock, 1, 2, 3, 4, 5)
    see(recording, clock, 3)
    await recorder.end(recording)
    [faces] = (await rows(store, recording)).values()
    assert [(face.face_id, face.frames) for face in faces] == [(1, 1), (2, 1), (3, 2)]
    assert lost(metrics, "crowded") == 2


async def test_a_session_is_full_at_last(recorder, store, clock, metrics, monkeypatch):
    monkeypatch.setattr(recording_module, "MAX_ROWS", 5)
    recording = await begin(recorder, clock)
    for _ in range(4):
        see(recording, clock, 1, 2)
        clock.now_s += 1
    await recorder.end(recording)
    assert sorted((await kept(store, recording)).seconds) == [0, 1]
    assert lost(metrics, "session_full") == 4


async def test_what_was_deleted_while_its_stream_runs_stays_deleted(recorder, store, clock):
    recording = await begin(recorder, clock)
    see(recording, clock, 1)
    clock.now_s += 1
    await recorder.write()
    await store.delete(recording.session_id, lifetime_s=LIFETIME_S)
    for _ in range(3):
        see(recording, clock, 1)
        recording.fire(alert())
        clock.now_s += 1
        await recorder.write()
    await recorder.end(recording)
    assert await kept(store, recording) is None
    assert recording.is_gone
    clock.now_s += LIFETIME_S  # even when the store has forgotten that it was deleted
    await recorder.write()
    assert await kept(store, recording) is None


async def test_a_running_session_does_not_expire_though_nobody_is_seen(recorder, store, clock):
    recording = await begin(recorder, clock)
    for _ in range(20):
        clock.now_s += LIFETIME_S / 5
        await recorder.write()
    see(recording, clock, 1)
    await recorder.end(recording)
    assert list((await kept(store, recording)).seconds) == [4 * LIFETIME_S]
    clock.now_s += LIFETIME_S + 1
    assert await kept(store, recording) is None


async def test_what_expired_while_the_store_was_away_is_not_brought_back(recorder, store, clock, metrics):
    recording = await begin(recorder, clock)
    see(recording, clock, 1)
    clock.now_s += 2
    store.is_away = True
    await recorder.write()
    clock.now_s += LIFETIME_S
    store.is_away = False
    await recorder.write()
    assert await kept(store, recording) is None
    assert lost(metrics, "store_away") == 1


async def test_writing_goes_on_by_itself(recorder, store, clock, monkeypatch):
    monkeypatch.setattr(recorder_module, "WRITE_EVERY_S", 0.01)
    recording = await begin(recorder, clock)
    see(recording, clock, 1)
    clock.now_s += 1
    writing = asyncio.create_task(recorder.keep_writing())
    try:
        async with asyncio.timeout(10):
            while not (await kept(store, recording)).seconds:
                await asyncio.sleep(0.01)
    finally:
        writing.cancel()


async def test_what_a_later_version_wrote_is_not_misread(store):
    recording = Recording("x", zero_s=0, started_at=START, label=None, lose=lambda reason, rows: None)
    fields = dict(recording.to_write().fields)
    later = {"head": fields["head"].replace(b'"schema_version":1', b'"schema_version":2')}
    for unreadable in (
        later,
        {"head": b"{"},
        {},
        fields | {"second:0": b"\xff"},
        fields | {"alert:0": b"{}"},
    ):
        with pytest.raises(InternalError):
            list(stored.read(unreadable).rows())

"""What recording costs, with a real Redis beside it: `python -m tests.load.recordings`."""

import asyncio
import time
from datetime import UTC, datetime

from fercore.contracts.emotions import EMOTIONS
from fercore.contracts.live import AlertRule
from fercore.service.metrics import Metrics
from fercore.state.redis import RedisState
from services.gateway.alerts.watch import Watch
from services.gateway.live.observer import Observation, ObservedFace
from services.gateway.recordings import stored
from services.gateway.recordings.recorder import Recorder
from services.gateway.recordings.recording import Recording
from services.gateway.recordings.trend import build_trend
from tests.support.clock import Clock
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, find_redis_server

DAY_S = 86_400
START = datetime(2026, 11, 21, tzinfo=UTC)


def face(second: int) -> ObservedFace:
    """Give a face with eight probabilities that change by the second."""
    weights = [1 + (second * (index + 3)) % 7 for index in range(len(EMOTIONS))]
    shares = (weight / sum(weights) for weight in weights)
    return ObservedFace(1, EMOTIONS[second % len(EMOTIONS)], dict(zip(EMOTIONS, shares, strict=True)))


async def begin(recorder: Recorder) -> Recording:
    return await recorder.begin(zero_s=0, started_at=START, label=None)


async def record_a_day(recorder: Recorder, clock: Clock) -> Recording:
    recording = await begin(recorder)
    for second in range(DAY_S):
        recording.see(Observation(float(second), (face(second),)))
        clock.now_s = second + 1.0
        if second % 200 == 199:
            await recorder.write()
    await recorder.end(recording)
    return recording


async def tell_its_trend(store: RedisState, recording: Recording) -> None:
    for _ in range(3):
        start_s = time.perf_counter()
        kept = await store.get(recording.session_id)
        got_s = time.perf_counter()
        made = build_trend(stored.read(kept.fields), recording.session_id, bucket_s=60, expires_at=START)
        made.model_dump_json()
        told_s = time.perf_counter()
        print(f"trend of a day: {got_s - start_s:.2f} s to get, {told_s - got_s:.2f} s to sum up")


async def write_for_many(recorder: Recorder, clock: Clock, *, sessions: int = 64, seconds: int = 60) -> None:
    clock.now_s = 0
    recordings = [await begin(recorder) for _ in range(sessions)]
    taken_s = []
    for second in range(seconds):
        for recording in recordings:
            for frame in range(25):
                recording.see(Observation(second + frame / 25, (face(second),)))
        clock.now_s = second + 1.0
        start_s = time.perf_counter()
        await recorder.write()
        taken_s.append(time.perf_counter() - start_s)
    median_ms = sorted(taken_s)[seconds // 2] * 1000
    print(f"a second of {sessions} sessions: {median_ms:.1f} ms to write (median)")


def look(recorder_clock: Clock, recording: Recording, *, frames: int = 100_000) -> None:
    observation = Observation(recorder_clock.now_s, (face(1),))
    start_s = time.perf_counter()
    for _ in range(frames):
        recording.see(observation)
    seen_s = time.perf_counter()
    watch = Watch(AlertRule())
    for number in range(frames):
        watch.see(number / 25, [EMOTIONS[3]])
    watched_s = time.perf_counter()
    print(
        f"a frame: {(seen_s - start_s) / frames * 1e6:.1f} us to record, "
        f"{(watched_s - seen_s) / frames * 1e6:.1f} us a rule"
    )


async def main() -> None:
    binary = find_redis_server()
    assert binary is not None, "there is no redis-server"
    server = RedisServer(free_port(), binary, appendonly=True)
    server.start()
    store = RedisState(server.url)
    try:
        clock = Clock()
        recorder = Recorder(store, Metrics(), lifetime_s=30 * DAY_S, clock=clock)
        day = await record_a_day(recorder, clock)
        memory = await store._redis.memory_usage(f"fer:record:{day.session_id}")
        file = (await store._redis.info("persistence"))["aof_current_size"]
        print(f"a day of one face: {memory / 1e6:.1f} MB of memory, {file / 1e6:.1f} MB of file")
        await tell_its_trend(store, day)
        await write_for_many(recorder, clock)
        look(clock, await begin(recorder))
    finally:
        await store.close()
        server.close()


if __name__ == "__main__":
    asyncio.run(main())

"""Load by live streams: pages that send when the last answer came, cameras that send no matter what.

Every frame must be answered once; figures of a run where one was not are no figures.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter

from websockets.asyncio.client import ClientConnection, connect

from tests.load.client import Load, run_load
from tests.load.report import commit, machine, table
from tests.support.cluster import Cluster, resident_mb
from tests.support.images import portrait_640x480

STREAMS = 10
CAMERA_FRAMES_A_SECOND = 25
WARM_UP_S = 2.0
TITLE = "## Live streams\n"


@dataclass
class StreamLoad:
    """What some streams at once gave; `load` counts results, `stats` is what the server said of each."""

    name: str
    load: Load
    stats: list[dict[str, int]] = field(default_factory=list)

    def total(self, outcome: str) -> int:
        """Sum up one figure of the stats."""
        return sum(stats[outcome] for stats in self.stats)


@dataclass(frozen=True)
class StreamReport:
    """All figures of one run."""

    rest: Load
    loads: list[StreamLoad]
    gateway_mb: tuple[float, float]
    seconds: float


async def measure_streams(cluster: Cluster, seconds: float) -> StreamReport:
    """Measure REST, one stream, and ten."""
    assert cluster.gateway.process is not None
    gateway = cluster.gateway.process.pid
    image = portrait_640x480()
    rest = await run_load(f"{cluster.url}/predict", image, concurrency=1, seconds=min(15, seconds))
    before_mb = resident_mb(gateway)
    loads = []
    for name, streams, window in (
        ("one frame at a time", 1, 1),
        ("two in flight", 1, 2),
        ("one frame at a time", STREAMS, 1),
        (f"camera, {CAMERA_FRAMES_A_SECOND} frames/s", STREAMS, None),
    ):
        load = StreamLoad(name, Load(streams, seconds))
        async with asyncio.timeout(WARM_UP_S + seconds + 60), asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(_stream(cluster.url, image, load, window=window))
        print(f"{streams} stream(s), {name}: {load.load.rate:.1f}/s, {_ms(load.load, 0.5)} ms")
        loads.append(load)
    return StreamReport(rest, loads, (before_mb, resident_mb(gateway)), seconds)


async def _stream(url: str, image: bytes, into: StreamLoad, *, window: int | None) -> None:
    """Stream for a bounded time: with so many unanswered, or (None) as a camera does."""
    begin = perf_counter() + WARM_UP_S
    end = begin + into.load.seconds
    sent_at: dict[int, float] = {}
    places = asyncio.Semaphore(window or 1)

    async def read(connection: ClientConnection) -> dict[str, int]:
        """Note every answer until the server closes; gives the stats."""
        stats: dict[str, int] = {}
        async for text in connection:
            message, now = json.loads(text), perf_counter()
            if message["type"] == "stats":
                stats = message
                continue
            start = sent_at.pop(message["seq"])
            if message["type"] == "result" and start >= begin:
                into.load.latencies_s.append(now - start)
            places.release()
        return stats

    async with connect(f"{url.replace('http', 'ws', 1)}/stream", compression=None) as connection:
        reading = asyncio.create_task(read(connection))
        seq = 0
        while (now := perf_counter()) < end:
            if window is not None:
                await places.acquire()
            sent_at[seq] = perf_counter()
            await connection.send(image)
            seq += 1
            if window is None:
                await asyncio.sleep(max(0, now + 1 / CAMERA_FRAMES_A_SECOND - perf_counter()))
        await connection.send('{"type": "stop"}')
        stats = await reading
    into.stats.append(stats)
    answered = stats["results"] + stats["dropped"] + stats["errors"]
    if sent_at or not seq == stats["received"] == answered:
        raise RuntimeError(f"{seq} frames sent, {len(sent_at)} without an answer, {stats}")


def stream_section(report: StreamReport) -> str:
    """Write the section of `docs/benchmarks.md`."""
    rows = [
        [
            len(each.stats),
            each.name,
            f"{each.load.rate:.1f}",
            *(_ms(each.load, share) for share in (0.5, 0.95)),
            *(each.total(figure) for figure in ("received", "results", "dropped", "errors")),
        ]
        for each in report.loads
    ]
    columns = ["streams", "each sends", "results/s", "p50 ms", "p95 ms"]
    rest_ms, stream_ms = report.rest.percentile_ms(0.5), report.loads[0].load.percentile_ms(0.5)
    before_mb, after_mb = report.gateway_mb
    return f"""{TITLE}
Written by `python -m tests.load streams --stream-seconds {report.seconds:g}` (or `make bench`) on
{datetime.now(UTC):%Y-%m-%d}. Commit {commit()}. Machine: {machine()}.
The image and the cluster are those above; {report.seconds:g} s a row after {WARM_UP_S:g} s of warm-up.
Latency is from sending a frame until its result has come.

{table([*columns, "received", "results", "dropped", "errors"], rows)}
In each stream, received = results + dropped + errors, and each frame had one answer on the wire.
One frame at a time, one stream adds {stream_ms - rest_ms:.1f} ms to `POST /predict` at the median:
{stream_ms:.1f} ms against {rest_ms:.1f} ms. The gateway had {before_mb:.0f} MB before the streams and
{after_mb:.0f} MB after them.
"""


def _ms(load: Load, share: float) -> str:
    return f"{load.percentile_ms(share):.1f}" if load.latencies_s else "-"

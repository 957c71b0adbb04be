"""Measure the cluster beside its limit and write `docs/benchmarks.md`: `make bench`.

The cluster is that of `make cluster`: separate processes over a real Redis and a real Triton on loopback.
The limit is the same detector and model called in one process, measured before and after in the same run.
"""

import argparse
import asyncio
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.load.client import Load, run_load
from tests.load.limit import ROOT, measure_apart
from tests.load.report import Report, replace_section, write_report
from tests.load.streams import measure_streams, stream_section
from tests.load.telemetry import TelemetryReport, measure_telemetry, telemetry_section
from tests.support.cluster import Cluster
from tests.support.images import portrait_640x480
from tests.support.triton_server import why_triton_is_missing

STAGES = ("queue", "decode", "detect", "align", "infer", "total")


@dataclass(frozen=True)
class Arguments:
    """What the command line says."""

    what: str
    seconds: float
    concurrency: list[int]
    threads: int
    stream_seconds: float
    rounds: int
    round_seconds: float
    output: Path


def arguments() -> Arguments:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__.split("\n")[0])
    parser.add_argument(
        "what", nargs="?", choices=("all", "streams", "telemetry"), default="all", help="default: all"
    )
    parser.add_argument("--seconds", type=float, default=15, help="measured seconds a level (default 15)")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--threads", type=int, default=2, help="threads of the limit and of the detector")
    parser.add_argument("--stream-seconds", type=float, default=60, help="measured seconds of live streams")
    parser.add_argument("--rounds", type=int, default=10, help="of telemetry on and off (default 10)")
    parser.add_argument("--round-seconds", type=float, default=5, help="of each of them, a level (default 5)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    return Arguments(**vars(parser.parse_args()))


async def main() -> None:
    """Measure and write down what is wanted."""
    wanted = arguments()
    if wanted.what == "telemetry":
        replace_section(telemetry_section(await _telemetry(wanted)), wanted.output)
        print(f"written to {wanted.output}")
        return
    if reason := why_triton_is_missing():
        raise SystemExit(reason)
    if wanted.what == "streams":
        with tempfile.TemporaryDirectory() as folder, _cluster(folder, wanted) as cluster:
            report = await measure_streams(cluster, wanted.stream_seconds)
        replace_section(stream_section(report), wanted.output)
    else:
        await _measure_all(wanted)
    print(f"written to {wanted.output}")


async def _measure_all(wanted: Arguments) -> None:
    """Measure limit, cluster, limit; then write the report."""
    limits = {
        1: [await _limit(1, wanted.seconds)],
        wanted.threads: [await _limit(wanted.threads, wanted.seconds)],
    }
    with tempfile.TemporaryDirectory() as folder, _cluster(folder, wanted) as cluster:
        await asyncio.sleep(2)
        memory = cluster.memory_mb()
        url = f"{cluster.url}/predict"
        loads: list[Load] = []
        stages: dict[int, dict[str, float]] = {}
        for concurrency in wanted.concurrency:
            before = await _stage_sums(cluster)
            load = await run_load(url, portrait_640x480(), concurrency=concurrency, seconds=wanted.seconds)
            stages[concurrency] = _means_ms(before, await _stage_sums(cluster))
            p50_ms = load.percentile_ms(0.5)
            print(f"concurrency {concurrency}: {load.rate:.1f}/s, p50 {p50_ms:.1f} ms, {load.statuses}")
            loads.append(load)
        memory_after = cluster.memory_mb()
        streams = await measure_streams(cluster, wanted.stream_seconds)
    for threads, measured in limits.items():
        measured.append(await _limit(threads, wanted.seconds))
    telemetry = await _telemetry(wanted)
    report = Report(
        limits=limits,
        threads=wanted.threads,
        loads=loads,
        stages=stages,
        memory_mb=memory,
        memory_after_mb=memory_after,
        seconds=wanted.seconds,
    )
    write_report(report, stream_section(streams), telemetry_section(telemetry), wanted.output)


def _cluster(folder: str, wanted: Arguments) -> Cluster:
    return Cluster(Path(folder), settings={"FER_THREADS": str(wanted.threads)})


async def _telemetry(wanted: Arguments) -> TelemetryReport:
    with tempfile.TemporaryDirectory() as folder:
        return await measure_telemetry(
            Path(folder), threads=wanted.threads, rounds=wanted.rounds, seconds=wanted.round_seconds
        )


async def _limit(threads: int, seconds: float) -> dict[str, float]:
    figures = await measure_apart(threads, seconds)
    print(f"limit, {threads} thread(s): {figures['rate']:.1f}/s, p50 {figures['p50_ms']:.1f} ms")
    return figures


async def _stage_sums(cluster: Cluster) -> dict[str, tuple[float, float]]:
    """Read sum and count of each stage over all services."""
    sums = dict.fromkeys(STAGES, (0.0, 0.0))
    async with httpx.AsyncClient() as client:
        for service in cluster.services:
            text = (await client.get(f"{service.url}/metrics")).text
            for stage in STAGES:
                values = [
                    float(found[1]) if (found := re.search(_sample(kind, stage), text, re.MULTILINE)) else 0.0
                    for kind in ("sum", "count")
                ]
                sums[stage] = (sums[stage][0] + values[0], sums[stage][1] + values[1])
    return sums


def _sample(kind: str, stage: str) -> str:
    return rf'^fer_stage_duration_seconds_{kind}\{{stage="{stage}"\}} (\S+)$'


def _means_ms(
    before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]
) -> dict[str, float]:
    return {
        stage: 1000 * (after[stage][0] - before[stage][0]) / max(1.0, after[stage][1] - before[stage][1])
        for stage in STAGES
    }


if __name__ == "__main__":
    asyncio.run(main())

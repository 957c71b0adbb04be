"""What metrics and traces cost: one load against three processes of the product, in turns, as ratios.

The product has no setting that turns metrics off; the process without them is `tests.load.silent`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx

from fercore.contracts.defaults import DEFAULT_DETECTOR
from tests.load.client import Load, run_load
from tests.load.report import commit, machine, table
from tests.support.cluster import Service
from tests.support.ferserver import answering_in_thread
from tests.support.images import portrait_640x480
from tests.support.ports import free_ports

LEVELS = (1, 8)
"""Callers at once: one alone, and as many as keep every thread busy."""

SCRAPE_EVERY_S = 1.0
WARM_UP_S = 0.5
WITHOUT, METRICS, TRACES, AGAIN = "neither", "metrics", "metrics and traces", "neither, again"
TITLE = "## What metrics and traces cost\n"


@dataclass(frozen=True)
class TelemetryReport:
    """All figures of one run: for each level and kind of process the load of each round."""

    loads: dict[tuple[int, str], list[Load]]
    rounds: int
    seconds: float


async def measure_telemetry(folder: Path, *, threads: int, rounds: int, seconds: float) -> TelemetryReport:
    """Load each process for `seconds` a level and round; each round begins with another one.

    Raises:
        RuntimeError: a request was not answered with 200, or no trace came.
    """
    loads: dict[tuple[int, str], list[Load]] = {}
    traces = 0

    def take(_: httpx.Request) -> httpx.Response:
        nonlocal traces
        traces += 1
        return httpx.Response(200, text="taken")

    with ExitStack() as stack:
        collector = stack.enter_context(answering_in_thread(take))
        ports = free_ports(3)

        def start(name: str, port: int, module: str | None = None, **settings: str) -> Service:
            environment = {"FER_THREADS": str(threads), "FER_PREDICT_DEADLINE_S": "60", **settings}
            service = Service("allinone", port, environment, folder / f"{name}.log", module=module)
            service.start()
            stack.callback(service.stop)
            return service

        without = start(WITHOUT, ports[0], "tests.load.silent")
        services = {
            WITHOUT: without,
            METRICS: start(METRICS, ports[1]),
            TRACES: start(TRACES, ports[2], FER_OTLP_ENDPOINT=collector),
            AGAIN: without,
        }
        for service in services.values():
            service.wait_until_ready()
        for turn in range(rounds):
            for level in LEVELS:
                names = list(services)
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    load = await _load(services[name], level, seconds, is_scraped=name in (METRICS, TRACES))
                    loads.setdefault((level, name), []).append(load)
            print(f"round {turn + 1} of {rounds}")
    if not traces:
        raise RuntimeError("no trace came")
    return TelemetryReport(loads, rounds, seconds)


async def _load(service: Service, level: int, seconds: float, *, is_scraped: bool) -> Load:
    url, image = f"{service.url}/predict", portrait_640x480()
    async with _scraped(service, is_scraped=is_scraped):
        load = await run_load(url, image, concurrency=level, seconds=seconds, warm_up_s=WARM_UP_S)
    if load.statuses.keys() != {200}:
        raise RuntimeError(f"{service.name} answered {load.statuses}:\n{service.log()[-3000:]}")
    return load


@asynccontextmanager
async def _scraped(service: Service, *, is_scraped: bool) -> AsyncIterator[None]:
    """Read the metrics again and again while the block runs, as Prometheus does, or leave them alone."""

    async def scrape() -> None:
        async with httpx.AsyncClient() as client:
            while True:
                (await client.get(f"{service.url}/metrics")).raise_for_status()
                await asyncio.sleep(SCRAPE_EVERY_S)

    async with asyncio.TaskGroup() as group:
        scraping = group.create_task(scrape()) if is_scraped else None
        yield
        if scraping is not None:
            scraping.cancel()


def telemetry_section(report: TelemetryReport) -> str:
    """Write the section of `docs/benchmarks.md`."""
    rows = []
    for (level, name), loads in sorted(report.loads.items(), key=lambda item: item[0][0]):
        base = report.loads[level, WITHOUT]
        p50_ms, p95_ms = ([load.percentile_ms(share) for load in loads] for share in (0.5, 0.95))
        figures = [f"{median(p50_ms):.2f}", "1", "1", "1"]
        if name != WITHOUT:
            figures[1:] = [
                _ratios(p50_ms, [load.percentile_ms(0.5) for load in base]),
                _ratios(p95_ms, [load.percentile_ms(0.95) for load in base]),
                _ratios([load.rate for load in loads], [load.rate for load in base]),
            ]
        rows.append([level, name, *figures])
    detector = os.environ.get("FER_DETECTOR", DEFAULT_DETECTOR)
    return f"""{TITLE}
Written by `python -m tests.load telemetry --rounds {report.rounds} --round-seconds {report.seconds:g}`
(or `make bench`) on {datetime.now(UTC):%Y-%m-%d}. Commit {commit()}. Machine: {machine()}.
Three processes of the product (`services.allinone`, detector `{detector}`), loaded in turns,
{report.seconds:g} s each time: one whose metrics forget what they are told, one as it is shipped and scraped
every {SCRAPE_EVERY_S:g} s, and one like it that sends a trace of every request. Ratios are to the first one
in the same round: the median of {report.rounds} rounds, and in brackets the lowest and the highest. The
first one, measured once more in each round, shows how far chance alone goes.

{table(["callers", "with", "p50 ms", "p50", "p95", "frames/s"], rows)}"""


def _ratios(figures: list[float], bases: list[float]) -> str:
    """Give the median ratio and the spread."""
    ratios = [figure / base for figure, base in zip(figures, bases, strict=True)]
    return f"{median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"

"""Write the benchmark's figures as `docs/benchmarks.md`, with its command, date and machine."""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from fercore.contracts.defaults import DEFAULT_DETECTOR, DEFAULT_MODEL
from tests.load.client import Load

_STAND_IN = '{{index .Config.Labels "org.example.standin"}}'
ROOT = Path(__file__).parent.parent.parent
ROOMS = (
    "fercore/contracts",
    "fercore/vision",
    "fercore/inference",
    "fercore/redis",
    "fercore/messaging",
    "fercore/state",
    "fercore/service",
    "services/gateway",
    "services/detector",
    "services/classifier",
    "services/allinone",
    "ferclient",
    "training",
    "deploy",
    "tests",
)


@dataclass(frozen=True)
class Report:
    """All figures of one run; `limits` holds the figures before and after the cluster, by threads."""

    limits: dict[int, list[dict[str, float]]]
    threads: int
    loads: list[Load]
    stages: dict[int, dict[str, float]]
    memory_mb: dict[str, float]
    memory_after_mb: dict[str, float]
    seconds: float


def write_report(report: Report, streams: str, telemetry: str, path: Path) -> None:
    """Write the document with two sections made elsewhere; what could not be measured in this run says so."""
    path.parent.mkdir(exist_ok=True)
    sections = [
        _head(report),
        _limit_section(report),
        _cluster_section(report),
        _stage_section(report),
        streams,
        telemetry,
        _memory_section(report),
        _image_section(),
        _lines_section(),
    ]
    path.write_text("\n".join(sections))


def replace_section(section: str, path: Path) -> None:
    """Put a section in the place of the one with its title, or at the end."""
    title = section.split("\n", 1)[0]
    sections = re.split(r"(?m)^(?=## )", path.read_text())
    titles = [each.split("\n", 1)[0] for each in sections]
    if title in titles:
        place = titles.index(title)
        is_last = place == len(sections) - 1
        sections[place] = section if is_last else section + "\n"
    else:
        sections.append("\n" + section)
    path.write_text("".join(sections))


def _head(report: Report) -> str:
    return f"""# Benchmarks

Written by `make bench` (`python -m tests.load --seconds {report.seconds:g}`) on {datetime.now(UTC):%Y-%m-%d};
do not edit by hand.
Commit {commit()}. Machine: {machine()}.

One 640x480 JPEG with one face, detector `{DEFAULT_DETECTOR}`, model `{DEFAULT_MODEL}`. The cluster runs
as separate processes on loopback: gateway, detector ({report.threads} threads), classifier, Redis and
Triton, one of each. It shares its cores with the load generator, a closed loop over kept-alive connections,
{report.seconds:g} s a level after 2 s of warm-up. The limit is the same detector and model called in one
process without any service, measured before and after the cluster. Machines are noisy: trust the ratios of
one run.
"""


def _limit_section(report: Report) -> str:
    rows = [
        [threads, when, *(f"{figures[name]:.1f}" for name in ("rate", "p50_ms", "p95_ms", "p99_ms"))]
        for threads, measured in report.limits.items()
        for when, figures in zip(("before", "after"), measured, strict=True)
    ]
    return "## The limit\n\n" + table(["threads", "measured", "frames/s", "p50 ms", "p95 ms", "p99 ms"], rows)


def _cluster_section(report: Report) -> str:
    alone_ms = fmean(figures["p50_ms"] for figures in report.limits[1])

    def limit_rate(concurrency: int) -> float:
        busy = 1 if concurrency == 1 else report.threads
        return fmean(figures["rate"] for figures in report.limits[busy])

    rows = [
        [
            load.concurrency,
            f"{load.rate:.1f}",
            f"{load.rate / limit_rate(load.concurrency):.2f}",
            *(f"{load.percentile_ms(share):.1f}" for share in (0.5, 0.95, 0.99)),
            len(load.latencies_s),
            sum(count for status, count in load.statuses.items() if status != 200),
        ]
        for load in report.loads
    ]
    columns = ["concurrency", "frames/s", "of the limit", "p50 ms", "p95 ms", "p99 ms", "answered", "errors"]
    first = report.loads[0]
    p50_ms = first.percentile_ms(0.5)
    return f"""## The cluster

{table(columns, rows)}
*Of the limit*: against the mean of the limit before and after, at one thread for concurrency 1 and at
{report.threads} threads for the others. Latency added at concurrency
{first.concurrency}: {p50_ms - alone_ms:.1f} ms at the median, {p50_ms:.1f} ms against {alone_ms:.1f} ms.
"""


def _stage_section(report: Report) -> str:
    stages = list(next(iter(report.stages.values())))
    rows = [
        [concurrency, *(f"{means[stage]:.2f}" for stage in stages)]
        for concurrency, means in report.stages.items()
    ]
    return f"""## Where the time goes

Mean milliseconds a frame, from `/metrics`; `queue` is both hops, `infer` one call for a whole batch.

{table(["concurrency", *stages], rows)}"""


def _memory_section(report: Report) -> str:
    rows = [
        [name, f"{megabytes:.0f}", f"{report.memory_after_mb[name]:.0f}"]
        for name, megabytes in report.memory_mb.items()
    ]
    return "## Memory\n\nResident, with the children of each process.\n\n" + table(
        ["process", "idle MB", "after the load MB"], rows
    )


def _image_section() -> str:
    listing = _output("docker", "images", "--format", "{{json .}}") if shutil.which("docker") else ""
    images = [json.loads(line) for line in listing.splitlines()]
    newest = {image["Repository"]: image for image in reversed(images)}  # the listing is newest first
    own = sorted(name for name in newest if name.startswith("fer-"))
    if not own:
        return "## Images\n\nNot measured in this run: no Docker engine holds images of this project.\n"
    rows = [[name, newest[name]["Size"]] for name in [*own, *(["python"] if "python" in newest else [])]]
    note = ""
    if _output("docker", "image", "inspect", "-f", _STAND_IN, f"python:{_base_tag()}").strip():
        note = "\nThe base here is a stand-in made of Debian's packages, larger than the official image.\n"
    title = "## Images\n\nThe last row is the base that each of the others contains.\n\n"
    return title + table(["image", "size"], rows) + note


def _base_tag() -> str:
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    return dockerfile.split("FROM python:", 1)[1].split()[0]


def _lines_section() -> str:
    rows = []
    for room in ROOMS:
        files = [file for file in _output("git", "ls-files", room).splitlines() if file.endswith(".py")]
        lines = sum(1 for file in files for line in (ROOT / file).read_text().splitlines() if line.strip())
        rows.append([f"`{room}`", len(files), lines])
    return "## Lines of code\n\n" + table(["room", "Python files", "lines that are not blank"], rows)


def table(columns: list[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table."""
    lines: list[Sequence[object]] = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def commit() -> str:
    """Name the commit that is measured."""
    return _output("git", "rev-parse", "--short", "HEAD").strip() or "unknown"


def machine() -> str:
    """Name the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores of {models[0] if models else platform.processor()}, {system}"


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout

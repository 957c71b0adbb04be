"""One cluster for all tests of this folder; measured times come at the end, its logs where a test failed."""

import re
import subprocess
import time
from collections.abc import Callable, Generator, Iterator

import pytest

from tests.compose.project import Compose, keep_logs
from tests.support.requires import missing, program
from tests.support.triton_server import ROOT
from tests.support.waiting import until

REPORT = pytest.StashKey[list[str]]()
HAS_DOCKER = pytest.StashKey[bool]()
Timed = Callable[[str, Callable[[], object]], None]
KEPT = ROOT / ".run/compose"
"""Here lies, of each test that failed, all that the containers had told."""


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are printed at the end."""
    return request.config.stash.setdefault(REPORT, [])


@pytest.fixture(scope="session")
def timed(report: list[str]) -> Timed:
    """Give what does a step and notes how long it took."""

    def timed(step: str, do: Callable[[], object]) -> None:
        started = time.monotonic()
        do()
        report.append(f"{step}: {time.monotonic() - started:.1f} s")

    return timed


@pytest.fixture(scope="session")
def project(request: pytest.FixtureRequest, timed: Timed) -> Iterator[Compose]:
    """Give what is not yet started; a failed start is taken down only after its logs are kept."""
    docker = program("docker", package="docker.io", is_required=False)
    try:
        subprocess.run([docker, "compose", "version"], capture_output=True, check=True)
        subprocess.run([docker, "info"], capture_output=True, check=True)
    except subprocess.CalledProcessError:
        missing("docker", "there is no Docker engine with compose")
    request.config.stash[HAS_DOCKER] = True
    compose = Compose()
    yield compose
    timed("down", lambda: compose.run("down", "--volumes", "--timeout", "10"))


@pytest.fixture(scope="session")
def compose(project: Compose, timed: Timed) -> Compose:
    timed("build", lambda: project.run("build", "--quiet"))
    timed("up, all healthy", project.up)
    timed("ready: the first answer", lambda: until(project.answers))
    return project


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the logs of a cluster at once: the next test may make its containers anew."""
    told = yield
    if told.failed and HAS_DOCKER in item.config.stash:
        folder = KEPT / re.sub(r"\W+", "-", item.name).strip("-")
        told.sections.append(("the last lines of each container", keep_logs(folder)))
    return told


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(REPORT, []):
        terminalreporter.write_line(line)

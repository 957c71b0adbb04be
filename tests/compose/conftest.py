"""One cluster for all tests of this folder; at the end come measured times, and its logs if a test failed."""

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.compose.project import Compose
from tests.requires import missing

REPORT = pytest.StashKey[list[str]]()
LOGS = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are printed at the end."""
    return request.config.stash.setdefault(REPORT, [])


@pytest.fixture(scope="session")
def compose(request: pytest.FixtureRequest, report: list[str]) -> Iterator[Compose]:
    try:
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=True)
        subprocess.run(["docker", "info"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        missing("docker", "there is no Docker engine with compose")
    compose = Compose()
    started = time.monotonic()
    try:
        compose.run("build", "--quiet")
        built = time.monotonic()
        compose.up()
        report.append(f"built in {built - started:.0f} s, up in {time.monotonic() - built:.0f} s")
        yield compose
    finally:
        request.config.stash[LOGS] = compose.logs()
        ended = time.monotonic()
        compose.run("down", "--volumes", "--timeout", "10")
        report.append(f"down in {time.monotonic() - ended:.0f} s")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    for line in config.stash.get(REPORT, []):
        terminalreporter.write_line(line)
    if exitstatus != pytest.ExitCode.OK and LOGS in config.stash:
        terminalreporter.section("the last lines of each container")
        terminalreporter.write_line(config.stash[LOGS])

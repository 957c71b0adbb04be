"""What all suites share."""

import importlib
import importlib.util
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.requires import IN_CI, watch

TESTS = Path(__file__).parent

pytest_plugins = ["tests.support.log_lines", "tests.support.redis_server", "tests.support.triton_server"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the services do."""
    return "asyncio"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the name of its folder: `-m unit`, `-m "not e2e"`."""
    for item in items:
        item.add_marker(item.path.relative_to(TESTS).parts[0])


def pytest_configure() -> None:
    """Let processes that tests start know Ctrl-C, also where a shell runs the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    watch()
    if importlib.util.find_spec("hypothesis"):  # the training room's tests run without it
        settings = importlib.import_module("hypothesis").settings
        settings.register_profile("any machine", deadline=None)  # nothing fails by the clock
        settings.load_profile("any machine")


@pytest.fixture(scope="module")
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """Run all async tests of a module in one event loop: gRPC may call back a loop that is closed already."""
    yield  # noqa: PT022  # as a generator it keeps the loop


@pytest.hookimpl(optionalhook=True)  # the training room's tests run without pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Run one test more than there are cores, as most wait for a server; in CI coverage keeps them busy."""
    return min((os.cpu_count() or 1) + (not IN_CI), 8)

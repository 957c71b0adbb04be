"""What all suites share."""

import signal

import pytest

pytest_plugins = ["tests.log_lines", "tests.redis_server", "tests.triton_server"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the services do."""
    return "asyncio"


def pytest_configure() -> None:
    """Let processes that tests start know Ctrl-C, also where a shell runs the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

"""What all suites share."""

import pytest

pytest_plugins = ["tests.redis_server", "tests.triton_server"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the services do."""
    return "asyncio"

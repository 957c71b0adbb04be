"""A gateway whose queue can be away and whose memory notes what it is told, for tests of live streams."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fercore.service.metrics import Metrics
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.support.live_gateway import FlakyQueue, NotingObserver
from tests.support.streaming import Server, serving


@pytest.fixture
def flaky_queue() -> FlakyQueue:
    return FlakyQueue()


@pytest.fixture
def live_metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def observer() -> NotingObserver:
    return NotingObserver()


@pytest.fixture
def start_gateway(flaky_queue, live_metrics, observer):
    """Make a server; its settings are the test's."""

    def start(**settings):
        given: dict[str, Any] = {"model": "a", "live_deadline_s": 5} | settings
        made = GatewaySettings(**given)
        app = create_app(made, queue=flaky_queue, metrics=live_metrics, make_observer=lambda: observer)
        return serving(app, made)

    return start


@pytest.fixture
async def gateway(start_gateway) -> AsyncIterator[Server]:
    async with start_gateway() as server:
        yield server

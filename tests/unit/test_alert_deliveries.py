"""Alerts on their way to the webhook: tried again, by whichever gateway, and never without bound."""

import asyncio
import itertools
import json
import logging
from datetime import UTC, datetime

import pytest

from fercore.contracts.emotions import Emotion
from fercore.contracts.errors import UpstreamUnavailable
from fercore.contracts.live import Alert
from fercore.service.metrics import Metrics
from fercore.state.memory import InMemoryState
from services.gateway.alerts import deliveries as deliveries_module
from services.gateway.alerts.deliveries import WebhookDeliveries
from services.gateway.alerts.webhook import DeliveryFailed
from tests.support.clock import Clock

pytestmark = pytest.mark.anyio

ALERT = Alert(
    rule="negative",
    emotions=(Emotion.FEAR,),
    share=0.7,
    window_s=10,
    at=datetime(2026, 11, 21, 12, tzinfo=UTC),
)


class FlakyState(InMemoryState):
    """A store that can be away."""

    is_away = False

    def _check(self):
        if self.is_away:
            raise UpstreamUnavailable("the store is away")

    async def add_tasks(self, tasks):
        self._check()
        return await super().add_tasks(tasks)

    async def lease_tasks(self, *, max_n, lease_s):
        self._check()
        return await super().lease_tasks(max_n=max_n, lease_s=lease_s)

    async def finish_task(self, lease):
        self._check()
        await super().finish_task(lease)


class Sender:
    """Fails so often, then delivers."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.sent: list[tuple[str, bytes, int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, delivery_id, body, *, attempt):
        self.sent.append((delivery_id, body, attempt))
        await self.gate.wait()
        if len(self.sent) <= self.failures:
            raise DeliveryFailed("the receiver answered 500")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock) -> FlakyState:
    return FlakyState(clock=clock)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def gateway(store, metrics):
    """Make a gateway's deliveries; all gateways share one store."""

    def gateway(sender: Sender, *, attempts: int = 8) -> WebhookDeliveries:
        return WebhookDeliveries(store, sender, metrics, attempts=attempts, first_pause_s=5, lease_s=30)

    return gateway


def outcomes(metrics: Metrics) -> dict[str, float]:
    found = {
        outcome: metrics.registry.get_sample_value("fer_webhook_deliveries_total", {"outcome": outcome})
        for outcome in ("delivered", "failed", "given_up", "dropped")
    }
    return {outcome: value for outcome, value in found.items() if value}


async def add(
    deliveries: WebhookDeliveries, *, session_id: str | None = None, label: str | None = None
) -> None:
    deliveries.add(ALERT, session_id=session_id, label=label)
    await deliveries.write()


async def test_an_alert_is_delivered_once_by_whichever_gateway_takes_it(gateway, metrics):
    first, second = Sender(), Sender()
    one, other = gateway(first), gateway(second)
    await add(one, session_id="ab" * 16, label="Füße")
    await asyncio.gather(one.deliver(), other.deliver())
    await asyncio.gather(one.deliver(), other.deliver())
    [(delivery_id, body, attempt)] = first.sent + second.sent
    assert json.loads(body) == {
        "delivery_id": delivery_id,
        "session_id": "ab" * 16,
        "label": "Füße",
        "alert": ALERT.model_dump(mode="json"),
    }
    assert attempt == 1
    assert outcomes(metrics) == {"delivered": 1}


async def test_a_failure_is_tried_again_after_pauses_that_double_under_the_same_id(gateway, clock, metrics):
    sender = Sender(failures=3)
    deliveries = gateway(sender)
    await add(deliveries)
    tried_at = []
    while clock.now_s < 200:
        if await deliveries.deliver():
            tried_at.append(clock.now_s)
        clock.now_s += 0.25
    assert [attempt for _, _, attempt in sender.sent] == [1, 2, 3, 4]
    assert len({delivery_id for delivery_id, _, _ in sender.sent}) == 1
    assert len({body for _, body, _ in sender.sent}) == 1
    pauses = [after - before for before, after in itertools.pairwise(tried_at)]
    for pause, longest in zip(pauses, (5, 10, 20), strict=True):
        assert longest / 2 <= pause <= longest + 0.25
    assert outcomes(metrics) == {"failed": 3, "delivered": 1}


async def test_pauses_of_many_differ_and_have_an_upper_bound(gateway):
    deliveries = gateway(Sender())
    assert len({deliveries._pause_s(3) for _ in range(20)}) > 10
    assert deliveries._pause_s(30) <= 3600


async def test_it_is_given_up_after_so_many_attempts(gateway, clock, metrics, caplog):
    sender = Sender(failures=99)
    deliveries = gateway(sender, attempts=3)
    with caplog.at_level(logging.WARNING):
        await add(deliveries)
        for _ in range(100):
            await deliveries.deliver()
            clock.now_s += 10
    assert len(sender.sent) == 3
    assert outcomes(metrics) == {"failed": 2, "given_up": 1}
    assert caplog.records[-1].getMessage() == "a webhook delivery was given up"


async def test_what_a_dead_gateway_had_taken_another_delivers(gateway, clock, metrics):
    dying, living = Sender(), Sender()
    dying.gate.clear()
    one, other = gateway(dying), gateway(living)
    await add(one)
    death = asyncio.create_task(one.deliver())
    async with asyncio.timeout(5):
        while not dying.sent:
            await asyncio.sleep(0)
    death.cancel()
    await asyncio.wait([death])
    assert not await other.deliver()  # it is still the first one's
    clock.now_s += 31
    assert await other.deliver()
    assert living.sent == [(*dying.sent[0][:2], 2)]
    assert outcomes(metrics) == {"delivered": 1}


async def test_a_delivery_that_kills_every_gateway_is_given_up(gateway, store, clock, metrics):
    sender = Sender()
    deliveries = gateway(sender, attempts=2)
    await add(deliveries)
    for _ in range(2):
        await store.lease_tasks(max_n=1, lease_s=1)
        clock.now_s += 2
    assert await deliveries.deliver()
    assert sender.sent == []
    assert outcomes(metrics) == {"given_up": 1}
    clock.now_s += 100
    assert not await deliveries.deliver()


async def test_while_the_store_is_away_alerts_wait_and_the_oldest_are_dropped(
    gateway, store, metrics, monkeypatch
):
    monkeypatch.setattr(deliveries_module, "MAX_WAITING", 2)
    sender = Sender()
    deliveries = gateway(sender)
    store.is_away = True
    for label in ("a", "b", "c"):
        await add(deliveries, label=label)
    assert not await deliveries.deliver()
    store.is_away = False
    await deliveries.write()
    await deliveries.deliver()
    assert [json.loads(body)["label"] for _, body, _ in sender.sent] == ["b", "c"]
    assert outcomes(metrics) == {"dropped": 1, "delivered": 2}


async def test_a_full_backlog_is_counted(gateway, metrics, monkeypatch):
    monkeypatch.setattr("fercore.state.memory.MAX_TASKS", 1)
    deliveries = gateway(Sender())
    await add(deliveries)
    await add(deliveries)
    assert outcomes(metrics) == {"dropped": 1}


async def test_a_store_that_goes_away_after_a_try_disturbs_nobody_and_it_is_delivered_again(
    gateway, store, clock
):
    sender = Sender()
    sender.gate.clear()
    deliveries = gateway(sender)
    await add(deliveries)
    trying = asyncio.create_task(deliveries.deliver())
    async with asyncio.timeout(5):
        while not sender.sent:
            await asyncio.sleep(0)
    store.is_away = True
    sender.gate.set()
    assert await trying
    store.is_away = False
    clock.now_s += 31
    await deliveries.deliver()
    assert [attempt for _, _, attempt in sender.sent] == [1, 2]


async def test_it_goes_on_by_itself(gateway, monkeypatch):
    monkeypatch.setattr(deliveries_module, "LOOK_EVERY_S", 0.01)
    sender = Sender()
    deliveries = gateway(sender)
    jobs = [
        asyncio.create_task(deliveries.keep_writing()),
        asyncio.create_task(deliveries.keep_delivering()),
    ]
    deliveries.add(ALERT, session_id=None, label=None)
    try:
        async with asyncio.timeout(5):
            while not sender.sent:
                await asyncio.sleep(0.01)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.wait(jobs)

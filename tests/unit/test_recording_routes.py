"""Recorded sessions as callers see them: by HTTP, on a gateway whose store is in memory."""

import asyncio
import csv
import io
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from asgi_lifespan import LifespanManager

from fercore.contracts.emotions import Emotion
from fercore.contracts.errors import UpstreamUnavailable
from fercore.contracts.live import AlertRule, StreamOptions, Trend
from fercore.messaging.memory import InMemoryQueue
from fercore.service.metrics import Metrics
from fercore.state.memory import InMemoryState
from services.gateway.alerts.deliveries import WebhookDeliveries
from services.gateway.alerts.wiring import Alerts
from services.gateway.live.observer import Observation, ObservedFace
from services.gateway.recordings import routes, stored
from services.gateway.recordings.observer import RecordingObserver
from services.gateway.recordings.recorder import Recorder
from services.gateway.recordings.wiring import Recordings
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app
from tests.support.clock import Clock

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
RULE = AlertRule(name="sad", emotions=(Emotion.SADNESS,), window_s=10, cooldown_s=60, min_faces=1)
SAD = {Emotion.HAPPINESS: 0.1, Emotion.SADNESS: 0.9}
UNKNOWN = "0" * 32


class FlakyState(InMemoryState):
    """A store that can be away."""

    is_away = False

    async def get(self, key):
        if self.is_away:
            raise UpstreamUnavailable("the store is away")
        return await super().get(key)


@pytest.fixture
def clock() -> Clock:
    return Clock(7000.0)


@pytest.fixture
def store() -> FlakyState:
    return FlakyState()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def deliveries(store, metrics) -> WebhookDeliveries:
    """What waits for a webhook; nobody delivers it."""
    return WebhookDeliveries(store, None, metrics, attempts=1)


@pytest.fixture
def remember(store, metrics, clock, deliveries):
    """Build the observer of a stream, as `Recordings` does, but with clocks of the test's."""
    walls = iter([START, *[START - timedelta(days=400)] * 9])

    def remember(*rules: AlertRule) -> RecordingObserver:
        return RecordingObserver(
            rules,
            recorder=Recorder(store, metrics, lifetime_s=3600, clock=clock),
            deliveries=deliveries,
            metrics=metrics,
            clock=clock,
            now=lambda: next(walls),
        )

    return remember


@pytest.fixture
async def client(store, metrics) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(GatewaySettings(), queue=InMemoryQueue(), metrics=metrics, store=store)
    async with (
        LifespanManager(app) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://test") as client,
    ):
        yield client


def look(observer: RecordingObserver, clock: Clock, *, frames: int, step_s: float = 1.0) -> list[str]:
    fired = []
    for _ in range(frames):
        face = ObservedFace(1, Emotion.SADNESS, SAD)
        fired += [alert.rule for alert in observer.observe(Observation(clock.now_s, (face,)))]
        clock.now_s += step_s
    return fired


async def recorded(
    observer: RecordingObserver, clock: Clock, *, frames: int = 25, label: str | None = None
) -> str:
    session_id = await observer.begin(StreamOptions(record=True, label=label))
    look(observer, clock, frames=frames)
    await observer.end()
    return session_id


async def test_a_trend_tells_how_a_session_went(client, remember, clock):
    session_id = await recorded(remember(RULE), clock, label="a\u202e'; DROP TABLE ☕")
    answer = await client.get(f"/sessions/{session_id}/trend")
    assert answer.status_code == 200
    trend = Trend.model_validate_json(answer.content)
    assert (trend.session_id, trend.label) == (session_id, "a\u202e'; DROP TABLE ☕")
    assert [(row.start, row.frames) for row in trend.buckets] == [
        (START, 10),
        (START + timedelta(seconds=10), 10),
        (START + timedelta(seconds=20), 5),
    ]
    assert trend.totals.valence == pytest.approx(-0.8)
    [alert] = trend.alerts
    assert (alert.rule, alert.share, alert.at) == ("sad", 1, START + timedelta(seconds=10))
    expires_in = trend.expires_at - datetime.now(UTC)
    assert timedelta(minutes=59) < expires_in <= timedelta(hours=1)
    assert answer.headers["cache-control"] == "no-store"


async def test_an_alert_waits_for_the_webhook_with_handle_and_label(remember, clock, deliveries):
    session_id = await recorded(remember(RULE), clock, label="desk")
    [body] = [json.loads(task.body) for task in deliveries._waiting]
    assert (body["session_id"], body["label"], body["alert"]["rule"]) == (session_id, "desk", "sad")


async def test_a_trend_is_a_table_too(client, remember, clock):
    session_id = await recorded(remember(), clock)
    path = f"/v1/sessions/{session_id}/trend"
    by_query = await client.get(path, params={"format": "csv", "bucket": "5s"})
    by_header = await client.get(path, params={"bucket": "5s"}, headers={"Accept": "text/csv"})
    assert by_query.text == by_header.text
    assert by_query.headers["content-type"] == "text/csv; charset=utf-8"
    assert by_query.headers["content-disposition"] == f'attachment; filename="trend-{session_id[:8]}.csv"'
    rows = list(csv.DictReader(io.StringIO(by_query.text)))
    assert [row["frames"] for row in rows] == ["5"] * 5
    as_json = await client.get(path, params={"format": "json"}, headers={"Accept": "text/csv"})
    assert as_json.json()["session_id"] == session_id


async def test_a_deleted_session_is_unknown(client, remember, clock):
    session_id = await recorded(remember(), clock)
    deleted = await client.delete(f"/v1/sessions/{session_id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for answer in (
        await client.get(f"/sessions/{session_id}/trend"),
        await client.delete(f"/sessions/{session_id}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_session_deleted_while_its_stream_runs_stays_deleted(client, remember, clock, deliveries):
    observer = remember(RULE)
    session_id = await observer.begin(StreamOptions(record=True))
    look(observer, clock, frames=5)
    assert (await client.delete(f"/sessions/{session_id}")).status_code == 204
    await observer._recorder.write()
    assert look(observer, clock, frames=20) == ["sad"]  # the stream goes on as before
    assert [json.loads(task.body)["session_id"] for task in deliveries._waiting] == [None]
    await observer.end()
    assert (await client.get(f"/sessions/{session_id}/trend")).status_code == 404


@pytest.mark.parametrize("session_id", [UNKNOWN, "x", "A" * 32, "*", "%00", "..%2f..", "a" * 5000])
async def test_what_is_no_session_is_the_same_404_whatever_its_form(client, session_id):
    answers = [
        await client.get(f"/sessions/{session_id}/trend"),
        await client.delete(f"/sessions/{session_id}"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    if "%2f" not in session_id:  # that is another path
        assert {answer.json()["code"] for answer in answers} == {"unknown_session"}


@pytest.mark.parametrize(
    ("query", "named"),
    [({"bucket": "1d"}, "1s to 1h"), ({"bucket": ""}, "1s to 1h"), ({"format": "xml"}, "format")],
)
async def test_wrong_options_are_told(client, query, named):
    answer = await client.get(f"/sessions/{UNKNOWN}/trend", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert named in answer.json()["detail"]


async def test_a_store_that_is_away_is_503_and_an_image_is_served_all_the_same(client, store):
    store.is_away = True
    answer = await client.get(f"/sessions/{UNKNOWN}/trend")
    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/emotions")).status_code == 200


async def test_only_so_many_trends_are_made_at_a_time(client, store, remember, clock, monkeypatch):
    session_id = await recorded(remember(), clock)
    monkeypatch.setattr(routes, "TURN_WAIT_S", 0.05)
    get, release, waiting = store.get, asyncio.Event(), []

    async def slow_get(key):
        waiting.append(key)
        await release.wait()
        return await get(key)

    monkeypatch.setattr(store, "get", slow_get)
    path = f"/sessions/{session_id}/trend"
    first = [asyncio.create_task(client.get(path)) for _ in range(routes.AT_ONCE)]
    async with asyncio.timeout(5):
        while len(waiting) < routes.AT_ONCE:
            await asyncio.sleep(0)
    refused = await client.get(path)
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    release.set()
    assert [answer.status_code for answer in await asyncio.gather(*first)] == [200] * routes.AT_ONCE
    assert (await client.get(path)).status_code == 200


async def test_every_rule_counts_from_zero(client):
    """Prometheus sees no increase in a counter that begins with 1."""
    counted = re.findall(r"fer_alerts_total\{rule=\"(\w+)\"\} 0\.0", (await client.get("/metrics")).text)
    assert counted == ["negative", "session"]


async def test_without_record_nothing_is_kept_and_rules_are_watched_all_the_same(remember, clock, store):
    observer = remember(RULE)
    assert await observer.begin(StreamOptions(label="x")) is None
    assert look(observer, clock, frames=15) == ["sad"]
    await observer.end()
    assert store._records == {}


async def test_a_session_may_bring_its_own_rules_or_none(remember, clock, metrics):
    own = remember(RULE)
    await own.begin(StreamOptions(alerts=(RULE.model_copy(update={"name": "my-own"}),)))
    assert look(own, clock, frames=15) == ["my-own"]
    none = remember(RULE)
    await none.begin(StreamOptions(alerts=()))
    assert look(none, clock, frames=15) == []
    standard = remember(RULE)
    await standard.begin(StreamOptions())
    assert look(standard, clock, frames=15) == ["sad"]
    found = {
        sample.labels["rule"]: sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "fer_alerts_total"
    }
    assert found == {"session": 1, "sad": 1}  # callers add no label


async def test_neither_handle_nor_label_stands_in_a_log_or_a_metric(client, remember, clock, metrics, caplog):
    caplog.set_level(logging.DEBUG)
    session_id = await recorded(remember(RULE), clock, label="Frau Müller")
    await client.get(f"/sessions/{session_id}/trend")
    own = [{**vars(record), "args": None} for record in caplog.records if not record.name.startswith("httpx")]
    assert own
    told = str(own) + metrics.exposition().decode()
    assert session_id not in told
    assert "Müller" not in told
    assert 'route="/sessions/{session_id}/trend"' in told


async def test_a_clock_that_jumps_changes_nothing(client, remember, clock):
    """The wall clock is read once: a second reading would be 400 days earlier."""
    session_id = await recorded(remember(RULE), clock)
    trend = (await client.get(f"/sessions/{session_id}/trend")).json()
    years = {re.match(r"\d+", time)[0] for time in [*(row["start"] for row in trend["buckets"])]}
    assert years == {"2026"}
    assert trend["alerts"][0]["at"].startswith("2026-11-21T12:00:10")


async def test_an_observer_that_never_began_ends_quietly(remember):
    await remember().end()


async def test_what_a_gateway_still_holds_is_written_when_it_ends(store, metrics):
    settings = GatewaySettings(
        alerts=(RULE,), webhook_url="https://hooks.example/", webhook_secret="x", webhook_attempts=1
    )
    alerts = Alerts(settings, store=store, metrics=metrics)
    recordings = Recordings(settings, alerts=alerts, store=store, metrics=metrics)
    async with alerts.running(), recordings.running():
        await asyncio.sleep(0)  # let the jobs begin
        observer = recordings.make_observer()
        session_id = await observer.begin(StreamOptions(record=True))
        face = ObservedFace(1, Emotion.SADNESS, SAD)
        assert observer.observe(Observation(time.monotonic() + RULE.window_s + 1, (face,)))
        assert store._tasks == {}
    assert len(store._tasks) == 1
    assert len(stored.read((await store.get(session_id)).fields).alerts) == 1


async def test_the_store_is_closed_after_all_that_writes_has_ended(store, metrics):
    calls = []

    def noted(name, call):
        async def note(*arguments, **options):
            calls.append(name)
            return await call(*arguments, **options)

        return note

    store.close = noted("close", store.close)
    store.lease_tasks = noted("lease_tasks", store.lease_tasks)
    settings = GatewaySettings(webhook_url="https://hooks.example/", webhook_secret="x")
    async with LifespanManager(create_app(settings, queue=InMemoryQueue(), metrics=metrics, store=store)):
        await asyncio.sleep(0.01)
        assert "close" not in calls
    assert calls[-1] == "close"
    assert calls.count("close") == 1

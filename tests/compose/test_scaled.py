"""Three detectors and two classifiers share the work; parts are killed under load, and no request is lost."""

import time

import pytest

from tests.compose.callers import Callers
from tests.compose.project import Compose, kill, metric, restarts
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)

SCALE = {"detector": 3, "classifier": 2}
STREAMS = {"detector": "fer:frames", "classifier": "fer:faces"}
ENOUGH = 10
CLEAN = {"upstream_unavailable", "not_ready", "deadline_exceeded", "overloaded"}
"""How a request may end while a part is away; anything else, `internal` among them, is a bug."""


@pytest.fixture(scope="module")
def scaled(compose: Compose) -> Compose:
    compose.up(*(part for name, count in SCALE.items() for part in ("--scale", f"{name}={count}")))
    until(compose.answers)
    return compose


def done_by(container: str, stream: str) -> int:
    """How many messages this replica has ended, by its own metrics."""
    return int(metric(container, f'fer_queue_messages_total{{outcome="done",stream="{stream}"}}'))


@pytest.mark.parametrize("service", SCALE)
def test_every_replica_is_scraped(scaled: Compose, service: str) -> None:
    def scraped() -> list[str]:
        found = scaled.ask_prometheus(f'count(up{{job="{service}"}} == 1)')
        return [row["value"][1] for row in found]

    until(lambda: scraped() == [str(SCALE[service])])


@pytest.mark.parametrize("service", SCALE)
def test_replicas_share_the_work(scaled: Compose, service: str, report: list[str]) -> None:
    replicas = scaled.containers(service)
    assert len(replicas) == SCALE[service]
    before = [done_by(replica, STREAMS[service]) for replica in replicas]
    counts = before

    def all_have_worked() -> bool:
        nonlocal counts
        now = [done_by(replica, STREAMS[service]) for replica in replicas]
        counts = [new - old for new, old in zip(now, before, strict=True)]
        return min(counts) >= ENOUGH

    with Callers(scaled.url):
        until(all_have_worked)
    report.append(f"{service}: frames by replica {counts}")
    assert max(counts) < 5 * min(counts)


@pytest.mark.parametrize("service", ["detector", "classifier", "gateway", "triton", "redis"])
def test_a_kill_under_load_loses_no_request(scaled: Compose, service: str, report: list[str]) -> None:
    until(scaled.answers)
    [victim, *_] = scaled.containers(service)
    before = restarts(victim)
    with Callers(scaled.url) as callers:
        until(lambda: callers.answered >= ENOUGH)
        killed = time.monotonic()
        kill(victim)
        until(lambda: restarts(victim) > before)
        until(scaled.answers)
        back_s = time.monotonic() - killed
        enough = callers.answered + ENOUGH
        until(lambda: callers.answered >= enough)
    errors = ", ".join(f"{count} {code}" for code, count in callers.errors.items()) or "none"
    report.append(
        f"kill | {service} | {back_s:.1f} s | {callers.answered} | {errors} | {sum(callers.lost.values())} |"
        + (f" {callers.lost}" if callers.lost else "")
    )
    assert callers.lost == {}
    assert callers.errors.keys() <= CLEAN

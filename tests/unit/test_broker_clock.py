"""The broker's clock, estimated from readings."""

import pytest

from fercore.contracts.errors import UpstreamUnavailable
from fercore.messaging.clock import BrokerClock


class Local:
    now_ms = 1000.0

    def __call__(self) -> float:
        return self.now_ms


def read(clock: BrokerClock, local: Local, *, offset_ms: float, there_ms: float, back_ms: float) -> None:
    """Ask a broker that is `offset_ms` ahead, with these times on the way."""
    asked_ms = local.now_ms
    local.now_ms += there_ms + back_ms
    clock.set(asked_ms=asked_ms, broker_ms=asked_ms + there_ms + offset_ms, answered_ms=local.now_ms)


def test_a_clock_without_a_reading_says_that_the_broker_was_not_reached():
    clock = BrokerClock()
    assert not clock.is_set
    assert clock.claim_reading()
    assert clock.claim_reading()
    with pytest.raises(UpstreamUnavailable):
        clock.now_ms()


def test_the_answer_is_from_half_way_of_the_round_trip():
    local = Local()
    clock = BrokerClock(local)
    read(clock, local, offset_ms=5000, there_ms=4, back_ms=4)
    assert clock.now_ms() == pytest.approx(local.now_ms + 5000)
    local.now_ms += 70
    assert clock.now_ms() == pytest.approx(local.now_ms + 5000)


def test_a_short_round_trip_is_trusted_more_than_a_long_one():
    local = Local()
    clock = BrokerClock(local)
    read(clock, local, offset_ms=5000, there_ms=0.5, back_ms=0.5)
    read(clock, local, offset_ms=5000, there_ms=80, back_ms=0)
    assert clock.now_ms() == pytest.approx(local.now_ms + 5000)


def test_an_old_reading_gives_way_to_a_new_one_that_is_worse():
    local = Local()
    clock = BrokerClock(local)
    read(clock, local, offset_ms=5000, there_ms=0.5, back_ms=0.5)
    local.now_ms += 60_000
    read(clock, local, offset_ms=5008, there_ms=2, back_ms=2)
    assert clock.now_ms() == pytest.approx(local.now_ms + 5008)


def test_a_clock_that_was_set_anew_is_followed_at_once():
    local = Local()
    clock = BrokerClock(local)
    read(clock, local, offset_ms=5000, there_ms=0.5, back_ms=0.5)
    read(clock, local, offset_ms=9000, there_ms=5, back_ms=5)
    assert clock.now_ms() == pytest.approx(local.now_ms + 9000)


def test_a_reading_is_due_every_two_seconds_and_taken_by_one_of_many_callers():
    local = Local()
    clock = BrokerClock(local)
    assert clock.claim_reading()
    read(clock, local, offset_ms=0, there_ms=1, back_ms=1)
    assert not clock.claim_reading()
    local.now_ms += 2000
    assert clock.claim_reading()
    assert not clock.claim_reading()

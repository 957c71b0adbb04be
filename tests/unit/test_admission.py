"""A permit is taken at once or not at all, and always given back."""

import pytest
from prometheus_client import CollectorRegistry, Gauge

from fercore.contracts.errors import Overloaded
from fercore.service.admission import Admission


@pytest.fixture
def admission() -> Admission:
    gauge = Gauge("inflight", "images", registry=CollectorRegistry())
    return Admission(max_inflight=4, max_inflight_bytes=100, gauge=gauge)


def test_images_are_taken_all_or_none(admission):
    with admission.permit() as first, admission.permit() as second:
        first.take_images(3)
        with pytest.raises(Overloaded):
            second.take_images(2)
        assert admission.inflight == 3
        second.take_images(1)
        assert admission.inflight == 4
    assert admission.inflight == 0


def test_bytes_are_counted_as_they_arrive_and_given_back(admission):
    with admission.permit() as permit:
        permit.take_bytes(60)
        with pytest.raises(Overloaded):
            permit.take_bytes(60)
        assert admission.inflight_bytes == 60
    assert admission.inflight_bytes == 0
    with admission.permit() as permit:
        permit.take_bytes(100)

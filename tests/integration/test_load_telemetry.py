"""The benchmark of metrics and traces compares what it says it compares."""

from fercore.redis.vitals import Vitals
from tests.load.client import Load
from tests.load.silent import NoMetrics
from tests.load.telemetry import AGAIN, METRICS, TRACES, WITHOUT, TelemetryReport, telemetry_section


def test_metrics_that_forget_time_stages_and_count_nothing():
    metrics = NoMetrics()
    metrics.requests.labels("gateway", "/predict", "200").inc()
    metrics.inflight.set(1)
    metrics.redis_changed("queue", Vitals(1, 2, 3))
    metrics.redis_changed("queue", None)
    metrics.model_info.clear()
    with metrics.stage("decode") as timer:
        pass
    assert timer.ms > 0
    lines = metrics.exposition().decode().splitlines()
    told = {line for line in lines if line.startswith("fer_") and not line.endswith(" 0.0")}
    assert {line for line in told if "_created" not in line} == set()


def loaded(*rounds_ms: float) -> list[Load]:
    """Give rounds of a second in which every answer took so long."""
    return [Load(1, 1.0, [ms / 1000] * round(1000 / ms)) for ms in rounds_ms]


def test_ratios_are_taken_round_by_round():
    loads = {
        (1, WITHOUT): loaded(10, 20, 40),
        (1, METRICS): loaded(10, 25, 40),
        (1, TRACES): loaded(20, 40, 80),
        (1, AGAIN): loaded(10, 20, 40),
    }
    text = telemetry_section(TelemetryReport(loads, rounds=3, seconds=1))
    assert "| 1 | metrics | 25.00 | 1.000 (1.000-1.250) | 1.000 (1.000-1.250) | 1.000 (0.800-1.000) |" in text
    assert "| 1 | metrics and traces | 40.00 | 2.000 (2.000-2.000) |" in text

"""How the page makes figures of two readings of /metrics: its modules in a real browser, without a panel."""

import re
from pathlib import Path

import pytest

from fercore.service.metrics import Metrics

RULES = Path(__file__).parent.parent.parent / "deploy/prometheus/rules/recording.yml"


def reading(metrics: Metrics) -> str:
    """Give what the page reads; each reading is a request, and counted."""
    text = metrics.exposition().decode()
    metrics.requests.labels("gateway", "/metrics", "200").inc()
    return text


def two_readings() -> tuple[str, str]:
    """Give readings ten seconds apart: 20 frames, one slow and decoded twice, every second with a face."""
    metrics = Metrics()
    metrics.stage_duration.labels("total").observe(3)  # of before
    metrics.stage_duration.labels("detect").observe(2)
    first = reading(metrics)
    for number, seconds in enumerate([0.02] * 19 + [0.08]):
        metrics.stage_duration.labels("queue").observe(0.002)
        metrics.stage_duration.labels("decode").observe(0.003)
        metrics.stage_duration.labels("detect").observe(0.010)
        metrics.stage_duration.labels("total").observe(seconds)
        metrics.requests.labels("gateway", "/predict", "200").inc()
        if number % 2:
            metrics.stage_duration.labels("infer").observe(0.004)
        metrics.faces_per_frame.observe(number % 2)
    metrics.stage_duration.labels("decode").observe(0.020)
    metrics.requests.labels("gateway", "/v1/predict", "503").inc()
    metrics.requests.labels("gateway", "/predict", "504")  # has never come
    metrics.requests.labels("detector", "/predict", "200").inc()
    metrics.stream_frames.labels("result").inc(5)
    metrics.inflight.set(2)
    return first, reading(metrics)


BETWEEN = """async ([first, second, seconds]) => {
  const { Samples } = await import("/page/prometheus.js");
  const { figuresBetween } = await import("/page/figures.js");
  const figures = figuresBetween(new Samples(first), new Samples(second), seconds);
  figures.requestsByCode = Object.fromEntries(figures.requestsByCode);
  figures.liveByOutcome = Object.fromEntries(figures.liveByOutcome);
  return figures;
}"""


def test_figures_are_what_happened_between_two_readings(browse):
    figures = browse().page.evaluate(BETWEEN, [*two_readings(), 10])
    assert figures["framesRate"] == 2
    assert figures["facesRate"] == 1
    assert figures["requestsByCode"] == {"200": 2, "503": 0.1}
    assert figures["liveByOutcome"] == {"result": 0.5}
    assert figures["inFlight"] == 2
    assert figures["withinObjective"] == 0.95
    assert figures["seesWorkers"]
    # the parts make up the whole: (19 * 20 + 80) / 20 ms
    assert figures["stagesMs"] == pytest.approx(
        {"queue": 2, "decode": 4, "detect": 10, "infer": 2, "other": 5}
    )


def test_quantiles_are_spread_evenly_within_a_bucket(browse):
    quantiles = browse().page.evaluate(BETWEEN, [*two_readings(), 10])["quantilesMs"]
    assert quantiles == pytest.approx({"50": 10 + 15 * 10 / 19, "95": 25, "99": 60 + 40 * 0.8})


def test_where_nothing_happened_there_are_no_times(browse):
    _, last = two_readings()
    figures = browse().page.evaluate(BETWEEN, [last, last, 2])
    assert figures["framesRate"] == 0
    assert figures["quantilesMs"] == {"50": None, "95": None, "99": None}
    assert figures["stagesMs"] is None
    assert figures["withinObjective"] is None


LATER = """async ([before, after]) => {
  const { Samples } = await import("/page/prometheus.js");
  const { isLater } = await import("/page/figures.js");
  return isLater(new Samples(before), new Samples(after));
}"""


def test_readings_of_two_processes_are_not_compared(browse):
    page = browse().page
    first, second = two_readings()
    assert page.evaluate(LATER, [first, second])
    assert not page.evaluate(LATER, [second, first])
    born = re.compile(r"^process_start_time_seconds .*$", re.MULTILINE)
    assert not page.evaluate(LATER, [first, born.sub("process_start_time_seconds 1", second)])
    no_linux = born.sub("", first), born.sub("", second)
    assert page.evaluate(LATER, no_linux)
    assert not page.evaluate(LATER, no_linux[::-1])


READ = """async text => {
  const { Samples } = await import("/page/prometheus.js");
  const samples = new Samples(text);
  return {a: samples.sum("a"), b: samples.sum("b"), by: [...samples.sumBy("a", "why")]};
}"""


def test_any_text_that_prometheus_takes_is_read(browse):
    text = '# HELP a {b} 9\na{why="she said \\"{no}\\", twice"} 1 1700000000\na{why="",x="\\\\"} +Inf\n'
    text += "b 2.5e-1\n\nb 1\n"
    read = browse().page.evaluate(READ, text)
    assert read["b"] == 1.25
    assert read["by"] == [['she said "{no}", twice', 1], ["", float("inf")]]


def test_the_objective_is_that_of_the_alerts(browse):
    objective_s = browse().page.evaluate("async () => (await import('/page/figures.js')).OBJECTIVE_S")
    assert {float(edge) for edge in re.findall(r'le="([\d.]+)"}', RULES.read_text())} == {objective_s}

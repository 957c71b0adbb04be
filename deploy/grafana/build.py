"""Write the dashboards of deploy/grafana/dashboards/; CI fails where they differ from what is committed.

Each dashboard is a list of panels below; how a panel looks is decided once, in `panel`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")

LEGEND = (
    common.VizLegendOptions()
    .display_mode(LegendDisplayMode.LIST)
    .placement(LegendPlacement.BOTTOM)
    .show_legend(True)
)

Kind = Literal["line", "stack", "bars", "number", "heat"]


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: PromQL and how each series is called.
        unit: as Grafana names it.
        kind: how it is drawn.
        width: of 24 columns.
        text: why one looks at it.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: Kind = "line"
    width: int = 12
    text: str = ""


FRAMES = 'fer_stage_duration_seconds_bucket{stage="total"}'


def per_second(metric: str, by: str = "") -> str:
    """Give the rate of a counter, summed."""
    return _summed("rate", metric, by)


def added(metric: str, by: str = "") -> str:
    """Give by how much a counter grew, summed."""
    return _summed("increase", metric, by)


def _summed(function: str, metric: str, by: str) -> str:
    return f"sum{f' by ({by})' if by else ''} ({function}({metric}[$__rate_interval]))"


QUANTILES = [(f"fer:frame_seconds:p{q}", f"p{q}") for q in (50, 95, 99)]
TRITON_DONE = "nv_inference_request_success"

OVERVIEW = [
    Panel("Frames a second", [("fer:frames:rate1m", "frames")], kind="number", width=6),
    Panel("Faces a second", [("fer:faces:rate1m", "faces")], kind="number", width=6),
    Panel("p95 of a frame", [("fer:frame_seconds:p95", "p95")], "s", "number", 6),
    Panel("In flight", [("sum(fer_inflight)", "pictures")], kind="number", width=6),
    Panel("Requests by status", [("fer:requests:rate1m", "{{code}}")], "reqps", "stack"),
    Panel("Time of a frame", QUANTILES, "s", text="From its arrival at the gateway to its answer."),
    Panel(
        "Frames over the objective",
        [("fer:slow_frames:ratio5m", "5 minutes"), ("fer:slow_frames:ratio1h", "1 hour")],
        "percentunit",
        text="The objective allows 5 %.",
    ),
    Panel(
        "Processor time",
        [(per_second("process_cpu_seconds_total", "job"), "{{job}}")],
        text="Cores in use; saturation where it reaches the limit in docker-compose.yml.",
    ),
    Panel("Memory", [("sum by (job) (process_resident_memory_bytes)", "{{job}}")], "bytes"),
    Panel("Replicas that answer", [("sum by (job) (up)", "{{job}}")]),
]

LATENCY = [
    Panel(
        "Stages of a frame, stacked",
        [('fer:stage_seconds:mean{stage!="total"}', "{{stage}}")],
        "s",
        "stack",
        24,
        "Mean time in each stage from the gateway to Triton; `queue` is both hops.",
    ),
    Panel("p95 of each stage", [("fer:stage_seconds:p95", "{{stage}}")], "s"),
    Panel("Quantiles of a frame", QUANTILES, "s"),
    Panel("Frames by time", [(added(FRAMES, "le"), "{{le}}")], "s", "heat"),
    Panel(
        "Faces in one inference call",
        [(f"{per_second('fer_batch_size_sum')} / {per_second('fer_batch_size_count')}", "mean")],
    ),
    Panel(
        "Triton: time of an inference",
        [
            (f"{per_second(f'nv_inference_{part}_duration_us')} / {per_second(TRITON_DONE)} / 1e6", name)
            for part, name in (("queue", "waits"), ("compute_infer", "computes"))
        ],
        "s",
        "stack",
    ),
]

QUEUES = [
    Panel("Messages waiting or in hand", [("fer:queue_depth:max", "{{stream}}")]),
    Panel("Age of the oldest message", [("fer:queue_oldest_seconds:max", "{{stream}}")], "s"),
    Panel(
        "Messages by outcome",
        [("fer:queue_messages:rate1m", "{{stream}} {{outcome}}")],
        "cps",
        "stack",
        text="`taken_over` from dead workers, `expired` past their deadline, `dead` buried.",
    ),
    Panel(
        "Work by replica",
        [(per_second('fer_queue_messages_total{outcome="done"}', "job, instance"), "{{job}} {{instance}}")],
        "cps",
    ),
    Panel(
        "Redis: memory",
        [
            ("max by (redis) (fer_redis_memory_bytes)", "{{redis}}"),
            ("max by (redis) (fer_redis_memory_limit_bytes)", "limit of {{redis}}"),
        ],
        "bytes",
        text="At its limit a Redis refuses writes; a limit of 0 is none.",
    ),
    Panel(
        "Redis: connections",
        [
            ("max by (redis) (fer_redis_clients)", "{{redis}}"),
            ("min by (redis) (fer_redis_up)", "{{redis}} is up"),
        ],
        text="Of all processes. *Is up* is 0 while a gateway does not reach it.",
    ),
]

DONE_BY_MODEL = f"({per_second(TRITON_DONE, 'model')} > 0)"
MIX = f"{per_second('fer_predictions_total', 'emotion')} / ignoring (emotion) group_left "

MODELS = [
    Panel("Models offered", [("max by (model, version) (fer_model_info)", "{{model}} {{version}}")]),
    Panel("Faces by model", [(per_second("fer_predictions_total", "model"), "{{model}}")], "cps"),
    Panel(
        "Emotions",
        [(MIX + per_second("fer_predictions_total"), "{{emotion}}")],
        "percentunit",
        "stack",
        24,
        "A mix that drifts while the audience does not is a camera, or a model, that changed.",
    ),
    Panel(
        "Inferences by model version",
        [(per_second(TRITON_DONE, "model, version"), "{{model}} {{version}}")],
        "cps",
    ),
    Panel(
        "Time of an inference by model",
        [(f"{per_second('nv_inference_request_duration_us', 'model')} / {DONE_BY_MODEL} / 1e6", "{{model}}")],
        "s",
    ),
]

FRAMES_OF_STREAMS = "fer_stream_frames_total"

STREAMS = [
    Panel("Open streams", [("sum(fer_streams)", "streams")], kind="number"),
    Panel(
        "Frames answered",
        [(per_second(f'{FRAMES_OF_STREAMS}{{outcome="result"}}'), "a second")],
        kind="number",
    ),
    Panel(
        "Frames by outcome",
        [(per_second("fer_stream_frames_total", "outcome"), "{{outcome}}")],
        "cps",
        "stack",
    ),
    Panel("Streams by gateway", [("sum by (instance) (fer_streams)", "{{instance}}")]),
    Panel("Alerts", [(added("fer_alerts_total", "rule"), "{{rule}}")], kind="bars"),
    Panel("Webhook", [(added("fer_webhook_deliveries_total", "outcome"), "{{outcome}}")], kind="bars"),
    Panel(
        "Rows of sessions lost", [(added("fer_session_rows_lost_total", "reason"), "{{reason}}")], kind="bars"
    ),
]

DASHBOARDS: dict[str, tuple[str, Sequence[Panel]]] = {
    "overview": ("Overview", OVERVIEW),
    "latency": ("Latency budget", LATENCY),
    "queues": ("Queues and workers", QUEUES),
    "models": ("Models", MODELS),
    "streams": ("Streams", STREAMS),
}


def panel(wanted: Panel) -> object:
    """Draw one panel."""
    if wanted.kind == "number":
        drawn = stat.Panel()
    elif wanted.kind == "heat":
        drawn = heatmap.Panel().calculate(calculate=False)
    else:
        drawn = timeseries.Panel().legend(LEGEND).min(0)
        if wanted.kind == "stack":
            drawn = drawn.fill_opacity(40).stacking(common.StackingConfig().mode(StackingMode.NORMAL))
        if wanted.kind == "bars":
            drawn = drawn.draw_style(GraphDrawStyle.BARS).fill_opacity(80)
    form = PromQueryFormat.HEATMAP if wanted.kind == "heat" else PromQueryFormat.TIME_SERIES
    drawn = drawn.title(wanted.title).description(wanted.text).unit(wanted.unit).datasource(SOURCE)
    drawn = drawn.span(wanted.width).height(4 if wanted.kind == "number" else 8)
    for name, (expression, series) in zip("ABCDEF", wanted.queries, strict=False):
        query = prometheus.Dataquery().expr(expression).legend_format(series).ref_id(name)
        drawn = drawn.with_target(query.format(form))
    return drawn


def build() -> dict[Path, str]:
    """Give each dashboard's file and its JSON."""
    files = {}
    for uid, (title, panels) in DASHBOARDS.items():
        board = dashboard.Dashboard(f"FER: {title}").uid(f"fer-{uid}").tags(["fer"]).readonly()
        board = board.refresh("5s").time("now-15m", "now")
        for wanted in panels:
            board = board.with_panel(panel(wanted))
        files[FOLDER / f"{uid}.json"] = JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"
    return files


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in build().items():
        file.write_text(text, encoding="utf-8")

"""Write the dashboards of deploy/grafana/dashboards/; CI fails where they differ from what is committed.

Each dashboard is a list of panels below; how a panel looks is decided once, in `panel`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

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

Kind = Literal["line", "change", "stack", "bars", "number", "heat"]
Drawn: TypeAlias = stat.Panel | heatmap.Panel | timeseries.Panel


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: PromQL and how each series is called.
        unit: as Grafana names it.
        kind: how it is drawn; only a `change` may be below 0.
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
    """Return the rate of a counter, summed."""
    return _summed("rate", metric, by)


def added(metric: str, by: str = "") -> str:
    """Return by how much a counter grew, summed."""
    return _summed("increase", metric, by)


def _summed(function: str, metric: str, by: str) -> str:
    return f"sum{f' by ({by})' if by else ''} ({function}({metric}[$__rate_interval]))"


QUANTILES = [(f"fer:frame_seconds:p{q}", f"p{q}") for q in (50, 95, 99)]
TRITON_DONE = "nv_inference_request_success"

OVERVIEW = [
    Panel("Frames a second", [("fer:frames:rate1m", "frames")], kind="number", width=6),
    Panel("Faces a second", [("fer:faces:rate1m", "faces")], kind="number", width=6),
    Panel("p95 of a frame", [("fer:frame_seconds:p95", "p95")], "s", "number", 6),
    Panel("In flight", [("sum(fer_inflight)", "images")], kind="number", width=6),
    Panel(
        "Requests by status",
        [("fer:requests:rate1m", "{{code}}"), ("fer:door_failures:rate5m", "5xx by HAProxy itself")],
        "reqps",
        "stack",
    ),
    Panel("Time of a frame", QUANTILES, "s", text="From its arrival at the gateway to its answer."),
    Panel(
        "Frames over the objective",
        [("fer:slow_frames:ratio5m", "5 minutes"), ("fer:slow_frames:ratio1h", "1 hour")],
        "percentunit",
        text="The objective allows 5 %.",
    ),
    Panel(
        "Requests and live frames that fail",
        [("fer:failed_requests:ratio5m", "requests"), ("fer:failed_frames:ratio5m", "live frames")],
        "percentunit",
        text="By a fault of the cluster's. The objective allows 0.1 %.",
    ),
    Panel(
        "Processor time",
        [(per_second("process_cpu_seconds_total", "job"), "{{job}}")],
        text="Cores in use; saturation where it reaches the limit in docker-compose.yml.",
    ),
    Panel("Memory", [("sum by (job) (process_resident_memory_bytes)", "{{job}}")], "bytes"),
    Panel("Replicas that answer", [("fer:replicas:up", "{{job}}")]),
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
    Panel("Messages done", [('fer:queue_messages:rate1m{outcome="done"}', "{{stream}}")], "cps"),
    Panel(
        "Messages not done at once",
        [(added('fer_queue_messages_total{outcome!="done"}', "stream, outcome"), "{{stream}} {{outcome}}")],
        kind="bars",
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

VERSION = "model, version"
NAMED = "{{model}} {{version}}"


def share_of_faces(metric: str, by: str) -> tuple[str, str]:
    """Return the share of a model version's faces by one label more, and how each series is called."""
    faces = f"({per_second('fer_predictions_total', VERSION)} > 0)"
    share = f"{per_second(metric, f'{VERSION}, {by}')} / ignoring ({by}) group_left () {faces}"
    return share, f"{NAMED} {{{{{by}}}}}"


INFERENCE_US = per_second("nv_inference_request_duration_us", VERSION)
INFERENCES = per_second(TRITON_DONE, VERSION)

MODELS = [
    Panel("Models offered", [("max by (model, version) (fer_model_info)", NAMED)]),
    Panel("Faces", [(per_second("fer_predictions_total", VERSION), NAMED)], "cps"),
    Panel(
        "Emotions",
        [share_of_faces("fer_predictions_total", "emotion")],
        "percentunit",
        "stack",
        text="Shares of the faces. Several models that are asked at once fill 100 % each.",
    ),
    Panel(
        "Drift of the emotions",
        [("fer:emotion_share:drift", f"{NAMED} {{{{emotion}}}}")],
        "percentunit",
        "change",
        text="The share of an hour less that a day before; where nothing was seen then, less the mean since. "
        "A mix that drifts while the audience does not is a camera, or a model, that changed.",
    ),
    Panel(
        "Faces that are uncertain",
        [share_of_faces("fer_uncertain_faces_total", "reason")],
        "percentunit",
        text="`low_score`: the model doubts; `low_quality`: the face is ill seen. One face may have both.",
    ),
    Panel("Inferences", [(INFERENCES, NAMED)], "cps"),
    Panel(
        "Time of an inference",
        [(f"{INFERENCE_US} / ({INFERENCES} > 0) / 1e6", NAMED)],
        "s",
        text="From its arrival at Triton to its answer; one inference may hold the faces of several frames.",
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
        [(per_second(FRAMES_OF_STREAMS, "outcome"), "{{outcome}}")],
        "cps",
        text="`dropped` for a newer one, `refused` for the client's fault, `failed` for the cluster's.",
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


def panel(wanted: Panel) -> Drawn:
    """Build one panel."""
    drawn = _build_kind(wanted.kind)
    form = PromQueryFormat.HEATMAP if wanted.kind == "heat" else PromQueryFormat.TIME_SERIES
    drawn = drawn.title(wanted.title).description(wanted.text).unit(wanted.unit).datasource(SOURCE)
    drawn = drawn.span(wanted.width).height(4 if wanted.kind == "number" else 8)
    for name, (expression, series) in zip("ABCDEF", wanted.queries, strict=False):
        query = prometheus.Dataquery().expr(expression).legend_format(series).ref_id(name)
        drawn = drawn.with_target(query.format(form))
    return drawn


def _build_kind(kind: Kind) -> Drawn:
    if kind == "number":
        return stat.Panel()
    if kind == "heat":
        return heatmap.Panel().calculate(calculate=False)
    lines = timeseries.Panel().legend(LEGEND)
    if kind != "change":
        lines = lines.min(0)
    if kind == "stack":
        lines = lines.fill_opacity(40).stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if kind == "bars":
        lines = lines.draw_style(GraphDrawStyle.BARS).fill_opacity(80)
    return lines


def build() -> dict[Path, str]:
    """Return each dashboard's file and its JSON."""
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

"""The figures of an evaluation, drawn with matplotlib and seaborn.

Each function returns a figure, `as_png` its bytes.
"""

from collections.abc import Callable
from io import BytesIO

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from fercore.contracts.emotions import EMOTIONS
from training.measuring.evaluate import Examined
from training.measuring.metrics import BINS, sort_by_confidence

PIXELS_PER_INCH = 110
STYLE = {**sns.axes_style("whitegrid"), "font.size": 10, "axes.titlesize": 12, "axes.titleweight": "bold"}
COLOUR_OF = dict(zip(EMOTIONS, sns.color_palette("tab10", len(EMOTIONS)), strict=True))
ACCENT, LIGHT, MUTED, DARK = "#2b6cb0", "#90cdf4", "#cbd5e0", "#1a202c"


def draw_all(examined: Examined) -> dict[str, bytes]:
    """Draw every figure of some answers as PNG, by name."""
    draws: dict[str, Callable[[Examined], Figure]] = {
        "confusion": draw_confusion,
        "classes": draw_classes,
        "roc": draw_roc,
        "reliability": draw_reliability,
    }
    images = {}
    for name, draw in draws.items():
        with mpl.rc_context(STYLE):
            images[name] = as_png(draw(examined))
    return images


def as_png(figure: Figure) -> bytes:
    """Render without a display; the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()


def draw_confusion(examined: Examined) -> Figure:
    """Draw the confusion matrix: the colour is the share of the true emotion, the numbers are faces."""
    counts = np.array(examined.measures.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [emotion.value for emotion in examined.emotions]
    figure, axes = _make_figure("Confusion", 7.0, 6.0)
    written = np.array(
        [[_format_cell(n, s) for n, s in zip(*row, strict=True)] for row in zip(counts, shares, strict=True)]
    )
    sns.heatmap(
        shares,
        ax=axes,
        annot=written,
        fmt="",
        annot_kws={"size": 8},
        cmap="Blues",
        vmin=0,
        vmax=1,
        linewidths=0.5,
        square=True,
        xticklabels=names,
        yticklabels=names,
        cbar_kws={"label": "share of the true emotion", "shrink": 0.8},
    )
    axes.set(xlabel="answered", ylabel="true")
    axes.tick_params(axis="x", rotation=40)
    axes.tick_params(axis="y", rotation=0)
    return figure


def draw_classes(examined: Examined) -> Figure:
    """Draw precision, recall and F1 of each emotion, with their intervals where there are any."""
    figure, axes = _make_figure("Precision, recall and F1 by emotion", 8.0, 4.2)
    places = np.arange(len(examined.emotions))
    width = 0.27
    for number, (name, colour) in enumerate((("precision", MUTED), ("recall", ACCENT), ("f1", LIGHT))):
        figures = getattr(examined.measures, name)
        heights = [figures[emotion.value] or 0.0 for emotion in examined.emotions]
        label = "F1" if name == "f1" else name
        at = places + (number - 1) * width
        axes.bar(at, heights, width, color=colour, label=label, zorder=2)
        if examined.intervals is not None:
            error = _measure_bars(examined, name, heights)
            axes.errorbar(at, heights, error, fmt="none", ecolor=DARK, elinewidth=1, capsize=2, zorder=3)
    rows = np.array(examined.measures.confusion).sum(axis=1)
    names = [f"{emotion.value}\n{n} faces" for emotion, n in zip(examined.emotions, rows, strict=True)]
    axes.set_xticks(places, names, fontsize=8)
    axes.set_ylim(0, 1.02)
    axes.grid(visible=False, axis="x")
    axes.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
    return figure


def draw_roc(examined: Examined) -> Figure:
    """Draw the ROC curve of each emotion against the rest, and of all pairs together."""
    figure, axes = _make_figure("ROC, one emotion against the rest", 6.4, 5.6)
    measures = examined.measures
    is_true = examined.labels[:, None] == np.arange(len(examined.emotions))
    for number, emotion in enumerate(examined.emotions):
        if (area := measures.roc_auc[emotion.value]) is not None:
            wrong, right, _ = roc_curve(is_true[:, number], examined.probabilities[:, number])
            label = f"{emotion.value}, {area:.3f}"
            axes.plot(wrong, right, color=COLOUR_OF[emotion], linewidth=1.4, label=label)
    if measures.roc_auc_micro is not None:
        wrong, right, _ = roc_curve(is_true.ravel(), examined.probabilities.ravel())
        label = f"micro, {measures.roc_auc_micro:.3f}"
        axes.plot(wrong, right, color="black", linewidth=2, linestyle="--", label=label)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1), ylim=(0, 1.01))
    axes.set_aspect("equal")
    axes.legend(title="area under the curve", loc="lower right", fontsize=9)
    return figure


def draw_reliability(examined: Examined) -> Figure:
    """Draw accuracy by confidence, and how many faces are answered with it."""
    bins = sort_by_confidence(examined.probabilities, examined.labels)
    held = bins.rows > 0
    edges = np.arange(BINS) / BINS
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes, below = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    error = examined.measures.expected_calibration_error
    axes.set_title(f"Reliability: calibration error {error:.4f}", loc="left")
    accuracy = bins.right[held] / bins.rows[held]
    confidence = bins.confidence[held] / bins.rows[held]
    axes.bar(edges[held], accuracy, 1 / BINS, align="edge", color=ACCENT, edgecolor="white", label="accuracy")
    axes.plot(confidence, accuracy, "o", color=DARK, markersize=3.5, label="mean confidence of the bin")
    axes.plot([0, 1], [0, 1], color="#718096", linewidth=1, linestyle="--", label="perfect")
    axes.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="upper left", fontsize=9)
    below.bar(edges, bins.rows, 1 / BINS, align="edge", color=MUTED, edgecolor="white")
    below.set(xlabel="confidence of the answer", ylabel="faces", xlim=(0, 1))
    return figure


def _make_figure(title: str, width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left")
    return figure, axes


def _format_cell(count: int, share: float) -> str:
    return f"{count}\n{share:.0%}" if count else ""


def _measure_bars(examined: Examined, name: str, heights: list[float]) -> npt.NDArray[np.float64]:
    """Return how far the intervals reach below and above the bars, [2, K]; 0 where there is none."""
    intervals = (examined.intervals or {}).get(name)
    lengths = np.zeros((2, len(heights)))
    if isinstance(intervals, dict):
        for number, (emotion, height) in enumerate(zip(examined.emotions, heights, strict=True)):
            if (interval := intervals[emotion.value]) is not None:
                lengths[:, number] = max(0.0, height - interval[0]), max(0.0, interval[1] - height)
    return lengths

"""The written form of a comparison: one page, figures, JSON and a Markdown table."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from training.comparing.results import Comparison, Outcome
from training.comparing.significance import LEVEL
from training.learning.atomic import write_atomic
from training.learning.run_folder import write_text
from training.measuring.report.figures import ACCENT, DARK, STYLE, as_png, draw_confusion, draw_roc
from training.measuring.report.folder import as_json
from training.measuring.report.page import html_table, render_document, render_image

PAGE, FIGURES, TABLE = "index.html", "comparison.json", "comparison.md"
HEAD = (
    "config",
    "accuracy (95 %)",
    "balanced",
    "macro-F1",
    "ECE",
    "AUC",
    "weights, M",
    "MACs, M",
    "graph, MB",
    "memory, MB",
    "ms a face",
    "epochs",
    "minutes",
)


def write_comparison(
    folder: Path, comparison: Comparison, facts: Mapping[str, object], failures: Mapping[str, str]
) -> None:
    """Write `index.html`, `comparison.json`, `comparison.md` and PNG files; the page comes last.

    Raises:
        OSError: the folder cannot be made.
        TrainingError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = draw_comparison(comparison)
    for name, data in images.items():
        write_atomic(folder / f"{name}.png", data)
    write_text(folder / FIGURES, as_json(as_document(comparison, facts, failures)))
    write_text(folder / TABLE, markdown_table(comparison))
    write_text(folder / PAGE, _page(comparison, facts, failures, images))


def as_document(
    comparison: Comparison, facts: Mapping[str, object], failures: Mapping[str, str]
) -> dict[str, object]:
    """Return all figures as plain values for JSON."""
    return {
        **facts,
        "configs": {
            outcome.name: {
                "title": outcome.title,
                "runs": len(outcome.runs),
                "means": outcome.means,
                "standard_deviations": outcome.deviations,
                "costs": outcome.costs,
                "first_run": outcome.examined.as_dict(),
            }
            for outcome in comparison.outcomes
        },
        "p_values": {
            outcome.name: dict(zip((other.name for other in comparison.outcomes), row.tolist(), strict=True))
            for outcome, row in zip(comparison.outcomes, comparison.p_values, strict=True)
        },
        "failures": dict(failures),
    }


def markdown_table(comparison: Comparison) -> str:
    """Return the table of all configs, by falling accuracy."""
    lines = [HEAD, ("---",) * len(HEAD), *(_row(outcome) for outcome in comparison.outcomes)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw_comparison(comparison: Comparison) -> dict[str, bytes]:
    """Return every figure as PNG, by name."""
    figures = {}
    with mpl.rc_context(STYLE):
        figures["accuracy"] = as_png(_draw_accuracy(comparison.outcomes))
        figures["curves"] = as_png(_draw_curves(comparison.outcomes))
        figures["recall"] = as_png(_draw_recall(comparison.outcomes))
        if len(comparison.outcomes) > 1:
            figures["differences"] = as_png(_draw_differences(comparison))
        for outcome in comparison.outcomes:
            figures[f"{outcome.name}-confusion"] = as_png(draw_confusion(outcome.examined))
            figures[f"{outcome.name}-roc"] = as_png(draw_roc(outcome.examined))
    return figures


def _row(outcome: Outcome) -> tuple[str, ...]:
    means, costs = outcome.means, outcome.costs
    interval = (outcome.examined.intervals or {}).get("accuracy")
    between = f" ({interval[0]:.3f}-{interval[1]:.3f})" if isinstance(interval, tuple) else ""
    spread = f" ± {outcome.deviations['accuracy']:.4f}" if outcome.deviations else ""
    return (
        outcome.name,
        f"{means['accuracy']:.4f}{spread}{between}",
        *(f"{means[name]:.4f}" for name in ("balanced_accuracy", "macro_f1", "expected_calibration_error")),
        f"{means['roc_auc_macro']:.4f}",
        f"{costs['parameters'] / 1e6:.2f}",
        f"{costs['macs'] / 1e6:.0f}",
        f"{costs['graph_bytes'] / 1e6:.1f}",
        f"{costs['memory_mb']:.0f}",
        f"{costs['face_ms']:.2f}",
        f"{costs['epochs']:g}",
        f"{costs['minutes']:.1f}",
    )


def _draw_accuracy(outcomes: Sequence[Outcome]) -> Figure:
    figure = Figure(figsize=(8, 1.2 + 0.4 * len(outcomes)), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Accuracy with 95 % intervals", loc="left")
    for place, outcome in enumerate(outcomes):
        value = outcome.examined.measures.accuracy
        interval = (outcome.examined.intervals or {}).get("accuracy")
        if isinstance(interval, tuple):
            axes.plot(interval, (place, place), color=DARK, linewidth=1.2)
        axes.plot(value, place, "o", color=ACCENT)
    axes.set_yticks(range(len(outcomes)), [outcome.name for outcome in outcomes])
    axes.invert_yaxis()
    axes.set(xlabel="accuracy of the first run")
    return figure


def _draw_curves(outcomes: Sequence[Outcome]) -> Figure:
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Validation accuracy by share of the run", loc="left")
    for outcome, colour in zip(outcomes, sns.color_palette("husl", len(outcomes)), strict=True):
        rows = outcome.curve()
        accuracy = next(name for name in rows[0] if name.startswith("validation_") and "loss" not in name)
        shares = [row["epoch"] / len(rows) for row in rows]
        label = f"{outcome.name}, {len(rows)} epochs"
        axes.plot(shares, [row[accuracy] for row in rows], ".-", color=colour, label=label)
    axes.set(xlabel="share of the run's epochs", ylabel="validation accuracy (averaged weights)")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _draw_recall(outcomes: Sequence[Outcome]) -> Figure:
    names = list(outcomes[0].examined.measures.recall)
    values = np.array(
        [[outcome.examined.measures.recall[name] or 0.0 for name in names] for outcome in outcomes]
    )
    figure = Figure(figsize=(8, 1.6 + 0.4 * len(outcomes)), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Recall by emotion", loc="left")
    ticks = [outcome.name for outcome in outcomes]
    sns.heatmap(
        values,
        ax=axes,
        annot=True,
        fmt=".2f",
        vmin=0,
        vmax=1,
        cmap="Blues",
        xticklabels=names,
        yticklabels=ticks,
    )
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=30)
    return figure


def _draw_differences(comparison: Comparison) -> Figure:
    outcomes = comparison.outcomes
    accuracies = np.array([outcome.means["accuracy"] for outcome in outcomes])
    differences = 100 * (accuracies[:, None] - accuracies[None])
    is_real = comparison.p_values < LEVEL
    limit = max(1.0, float(np.abs(differences).max()))
    side = 2.2 + 0.55 * len(outcomes)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Row less column, points of accuracy; white: no more than chance", loc="left", fontsize=10)
    names = [outcome.name for outcome in outcomes]
    sns.heatmap(
        np.where(is_real, differences, 0.0),
        ax=axes,
        annot=np.array([[f"{value:.1f}" for value in row] for row in differences]),
        fmt="",
        annot_kws={"size": 8},
        vmin=-limit,
        vmax=limit,
        cmap="RdBu",
        xticklabels=names,
        yticklabels=names,
        cbar_kws={"label": "points"},
    )
    axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="y", rotation=0)
    return figure


def _page(
    comparison: Comparison,
    facts: Mapping[str, object],
    failures: Mapping[str, str],
    images: Mapping[str, bytes],
) -> str:
    title = f"Comparison of {len(comparison.outcomes)} configs"
    failed = "".join(f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in failures.items())
    drawn = "".join(render_image(name.replace("-", ", "), data) for name, data in images.items())
    rows = [[escape(cell) for cell in _row(outcome)] for outcome in comparison.outcomes]
    body = (
        f"{'<h2>Failed</h2><ul>' + failed + '</ul>' if failed else ''}"
        f"{html_table(list(HEAD), rows)}\n"
        "<p>Intervals are 95 % bootstrap intervals of the first run. A difference counts as real where the "
        f"paired sign-flip test, corrected for all pairs by Holm's method, has p &lt; {LEVEL}.</p>\n"
        f"{_by_emotion(comparison)}"
        f'<div class="figures">{drawn}</div>'
    )
    return render_document(title, facts, body)


def _by_emotion(comparison: Comparison) -> str:
    tables = []
    for figure in ("precision", "recall", "f1", "roc_auc"):
        emotions = list(comparison.outcomes[0].examined.measures.recall)
        rows = []
        for outcome in comparison.outcomes:
            values = getattr(outcome.examined.measures, figure)
            shown = ["-" if values[name] is None else f"{values[name]:.3f}" for name in emotions]
            rows.append([escape(outcome.name), *shown])
        tables.append(
            f"<h2>{figure.replace('roc_auc', 'AUC')} by emotion</h2>" + html_table(["", *emotions], rows)
        )
    return "".join(tables)

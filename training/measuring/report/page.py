"""The HTML page of an evaluation: one file that asks for nothing from outside."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from training.measuring.evaluate import Examined
from training.measuring.report.figures import draw_all

FIGURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy (mean recall)",
    "macro_f1": "macro-F1",
    "roc_auc_macro": "AUC, mean of the emotions",
    "roc_auc_micro": "AUC, micro",
    "expected_calibration_error": "expected calibration error",
    "negative_log_likelihood": "negative log-likelihood",
}
BY_EMOTION = {"precision": "precision", "recall": "recall", "f1": "F1", "roc_auc": "AUC"}
CAPTIONS = {
    "confusion": "Confusion matrix: rows are true, columns answered emotions.",
    "classes": "Precision, recall and F1 by emotion, with 95 % bootstrap intervals.",
    "roc": "ROC curves.",
    "reliability": "Reliability diagram: where bars meet the diagonal, confidence can be believed.",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a202c; max-width: 1080px;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid #cbd5e0 }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #e2e8f0; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } thead th { border-bottom: 2px solid #cbd5e0 }
small { color: #718096 } dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem }
dt { color: #718096 } dd { margin: 0; overflow-wrap: anywhere }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 1.5rem }
figure { margin: 0 } figure img { max-width: 100% } figcaption { color: #4a5568; font-size: .9rem }
.wide { overflow-x: auto }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """What was measured on one set of images.

    Attributes:
        name: of the section, and the beginning of its figures' file names.
        title: its heading.
        text: what has to be known of it.
        subsets: the figures by subset; the first one is drawn.
    """

    name: str
    title: str
    text: str
    subsets: Mapping[str, Examined]

    def draw(self) -> dict[str, bytes]:
        """Return the PNG files, by figure."""
        return draw_all(next(iter(self.subsets.values())))


def render_page(
    title: str, facts: Mapping[str, object], sections: Sequence[tuple[Section, Mapping[str, bytes]]]
) -> str:
    """Render the page.

    Args:
        title: its heading.
        facts: what was measured, how, when and where.
        sections: each with its figures as PNG.
    """
    body = "".join(_render_section(section, images) for section, images in sections)
    note = "Small figures are 95 % bootstrap intervals; means are over the emotions that occur."
    return render_document(title, facts, f"<p>{note}</p>\n{body}")


def render_document(title: str, facts: Mapping[str, object], body: str) -> str:
    """Render a whole document: its heading, the facts, and a body that is HTML already."""
    rows = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_render_fact(value))}</dd>"
        for name, value in facts.items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1><dl>{rows}</dl>\n{body}</body></html>\n"
    )


def render_image(caption: str, data: bytes) -> str:
    """Render a PNG within the document, with its caption."""
    encoded, shown = base64.b64encode(data).decode(), escape(caption)
    return (
        f'<figure><img alt="{shown}" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{shown}</figcaption></figure>\n"
    )


def _render_section(section: Section, images: Mapping[str, bytes]) -> str:
    drawn = "".join(render_image(CAPTIONS[name], data) for name, data in images.items())
    first = next(iter(section.subsets.values()))
    return (
        f"<h2>{escape(section.title)}</h2><p>{escape(section.text)}</p>"
        f"{_render_subsets(section.subsets)}{_render_emotions(first)}"
        f'<div class="figures">{drawn}</div>\n'
    )


def _render_subsets(subsets: Mapping[str, Examined]) -> str:
    every = subsets.values()
    head = [
        f"{name.replace('_', ' ')}<br><small>{examined.measures.rows} faces</small>"
        for name, examined in subsets.items()
    ]
    rows = [
        [title, *(_render_figure(getattr(e.measures, name), (e.intervals or {}).get(name)) for e in every)]
        for name, title in FIGURES.items()
    ]
    return html_table(["", *head], rows)


def _render_emotions(examined: Examined) -> str:
    rows = []
    for emotion, counts in zip(examined.emotions, examined.measures.confusion, strict=True):
        row = [emotion.value, str(sum(counts))]
        for name in BY_EMOTION:
            intervals = (examined.intervals or {}).get(name)
            interval = intervals[emotion.value] if isinstance(intervals, dict) else None
            row.append(_render_figure(getattr(examined.measures, name)[emotion.value], interval))
        rows.append(row)
    return html_table(["emotion", "faces", *BY_EMOTION.values()], rows)


def _render_fact(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _render_figure(value: float | None, interval: object) -> str:
    if value is None:
        return "-"
    shown = f"{value:.4f}"
    if isinstance(interval, tuple):
        shown += f" <small>{interval[0]:.4f} to {interval[1]:.4f}</small>"
    return shown


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render a table of cells that are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'

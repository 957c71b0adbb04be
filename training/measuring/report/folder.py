"""Write a report's folder: `index.html`, `evaluation.json` and the figures as PNG files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.learning.atomic import write_atomic
from training.learning.run_folder import write_text
from training.measuring.report.page import Section, render_page

PAGE, FIGURES = "index.html", "evaluation.json"


def write_report(
    folder: Path, title: str, facts: Mapping[str, object], sections: Sequence[Section], figures: str
) -> None:
    """Write all files; the page comes last, so that it is there only when the rest is.

    Args:
        folder: made where it is missing; its files of these names are replaced.
        title: heading of the page.
        facts: what was measured, how, when and where.
        sections: what is drawn.
        figures: the JSON text.

    Raises:
        OSError: the folder cannot be made.
        TrainingError: a file cannot be written.
    """
    drawn = [(section, section.draw()) for section in sections]
    folder.mkdir(parents=True, exist_ok=True)
    for section, images in drawn:
        for name, data in images.items():
            write_atomic(folder / f"{section.name}-{name}.png", data)
    write_text(folder / FIGURES, figures)
    write_text(folder / PAGE, render_page(title, facts, drawn))


def as_json(document: Mapping[str, object]) -> str:
    """Return a document's text, the same for `--json` and for the report."""
    return json.dumps(document, indent=2) + "\n"

"""What the runs of a comparison came to, by config."""

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from fercore.contracts.card import FACE_SIZE
from fercore.contracts.emotions import Emotion
from training.comparing.entry import ANSWERS, GRAPH, RESULT, Entry
from training.comparing.significance import holm, paired_p_values
from training.errors import TrainingError
from training.learning.run_folder import METRICS, read_json
from training.measuring.evaluate import Examined, examine
from training.measuring.metrics import Labels, Probabilities, measure
from training.measuring.timing import time_graphs

MEANS = ("accuracy", "balanced_accuracy", "macro_f1", "expected_calibration_error", "roc_auc_macro")


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs of one config.

    Attributes:
        name: of the config.
        title: what kind of model it is.
        runs: folders of its runs, one a seed.
        examined: of the first run, with intervals.
        means: of `MEANS`, over the runs.
        deviations: standard deviations over the runs; empty with one run.
        correct: how often each face was answered right, float64 [n] in [0, 1].
        costs: `parameters`, `macs`, `graph_bytes`, `memory_mb`, `face_ms` of the first run; `epochs` and
            `minutes` in the mean of the runs.
    """

    name: str
    title: str
    runs: tuple[Path, ...]
    examined: Examined
    means: dict[str, float]
    deviations: dict[str, float]
    correct: npt.NDArray[np.float64]
    costs: dict[str, float]

    def curve(self) -> list[dict[str, float]]:
        """Return the first run's figures by epoch."""
        with (self.runs[0] / METRICS).open(newline="", encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Outcomes by falling accuracy, and the corrected p-values of their differences, [m, m]."""

    outcomes: tuple[Outcome, ...]
    p_values: npt.NDArray[np.float64]


def collect(entries: Sequence[Entry], split: str) -> Comparison:
    """Read the finished runs, time their graphs side by side, and compare them.

    Raises:
        TrainingError: no run is finished, one was measured on another split, or a file is damaged.
    """
    done = [entry for entry in entries if entry.is_done]
    if not done:
        raise TrainingError("no run has finished: there is nothing to compare")
    by_config: dict[str, list[Entry]] = {}
    for entry in done:
        by_config.setdefault(entry.config.name, []).append(entry)
    firsts = [runs[0].folder / GRAPH for runs in by_config.values()]
    face = np.random.default_rng(0).integers(0, 256, (1, FACE_SIZE, FACE_SIZE, 3), dtype=np.uint8)
    times = time_graphs(firsts, face)
    outcomes = [_outcome(runs, split, taken) for runs, taken in zip(by_config.values(), times, strict=True)]
    outcomes.sort(key=lambda outcome: -outcome.means["accuracy"])
    values = paired_p_values([outcome.correct for outcome in outcomes])
    return Comparison(tuple(outcomes), holm(values))


def _outcome(entries: Sequence[Entry], split: str, taken_ms: float) -> Outcome:
    results = [read_json(entry.folder / RESULT) for entry in entries]
    for entry, result in zip(entries, results, strict=True):
        if result["split"] != split:
            raise TrainingError(f"{entry.folder} was measured on the {result['split']} split, not on {split}")
    answers = [_read_answers(entry.folder) for entry in entries]
    labels = tuple(Emotion(label) for label in cast("list[str]", results[0]["labels"]))
    measured = [measure(*answer, labels) for answer in answers]
    figures = [{name: cast("float", getattr(found, name)) for name in MEANS} for found in measured]
    costs = {
        name: float(str(results[0][name])) for name in ("parameters", "macs", "graph_bytes", "memory_mb")
    }
    costs["face_ms"] = taken_ms
    costs["epochs"] = statistics.mean(float(str(result["epochs"])) for result in results)
    costs["minutes"] = statistics.mean(float(str(result["seconds_spent"])) for result in results) / 60
    return Outcome(
        name=entries[0].config.name,
        title=entries[0].config.title,
        runs=tuple(entry.folder for entry in entries),
        examined=examine(*answers[0], labels),
        means={name: statistics.mean(figure[name] for figure in figures) for name in MEANS},
        deviations={name: statistics.stdev(figure[name] for figure in figures) for name in MEANS}
        if len(figures) > 1
        else {},
        correct=np.mean([(found.argmax(axis=1) == truth) for found, truth in answers], axis=0),
        costs=costs,
    )


def _read_answers(folder: Path) -> tuple[Probabilities, Labels]:
    try:
        with np.load(folder / ANSWERS) as kept:
            probabilities = kept["probabilities"].astype(np.float64)
            return probabilities / probabilities.sum(axis=1, keepdims=True), kept["labels"]
    except (OSError, ValueError, KeyError) as err:
        raise TrainingError(
            f"{folder / ANSWERS} cannot be read: remove {RESULT} there to measure again"
        ) from err

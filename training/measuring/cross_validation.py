"""Train and measure once for each fold of a training split.

A fold is a run like any other, in a folder of its own; a finished one is not repeated. Folds do not leak: a
person, or copies of the same pixels, are in one fold only, and the same seed cuts the same folds.
"""

import hashlib
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from fercore.inference.calibration import softmax
from training.config import RunConfig
from training.data.faces import NO_MAJORITY, DataSet, Faces
from training.errors import TrainingError
from training.learning import run_folder
from training.learning.fit import fit
from training.learning.provenance import git_commit
from training.learning.run_folder import load_run
from training.measuring import graphs
from training.measuring.metrics import measure

PLAN, SUMMARY, RESULT = "folds.json", "cross_validation.json", "result.json"
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "negative_log_likelihood")

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Fold:
    """One part held out, and all others to train on."""

    train: Faces
    held_out: Faces


def cross_validate(
    config: RunConfig, data: DataSet, folder: Path, *, folds: int, resume: bool
) -> dict[str, object]:
    """Run each fold in `folder/fold_<number>`, and give (and write) each figure's mean and deviation.

    A fold's best epoch is chosen on the faces that it is then measured on, as they are the only ones held
    out: the figures compare configs, and flatter all of them a little.

    Raises:
        TrainingError: the folder holds other folds, or any error of a run.
    """
    plan = json.dumps({"folds": folds, "seed": config.seed}) + "\n"
    if (folder / PLAN).exists():
        if not resume:
            raise TrainingError(f"{folder} already holds folds: continue with --resume, or move it away")
        if (folder / PLAN).read_text(encoding="utf-8") != plan:
            raise TrainingError(f"{folder} was cut into other folds: it cannot be resumed with these")
    cut = cut_folds(data.splits["train"], folds, config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    run_folder.write_text(folder / PLAN, plan)
    results = []
    for number, fold in enumerate(cut, start=1):
        print(f"fold {number}/{folds}: {len(fold.train)} to train on, {len(fold.held_out)} held out")
        results.append(_run_fold(config, data, fold, folder / f"fold_{number}"))
    means = {
        name: {
            "mean": round(statistics.mean(values), 5),
            "standard_deviation": round(statistics.stdev(values), 5),
        }
        for name, values in ((name, [result[name] for result in results]) for name in FIGURES)
    }
    summary: dict[str, object] = {
        "folds": results,
        **means,
        "config_sha256": config.sha256(),
        "data_sha256": data.sha256,
        "git_commit": git_commit(),
    }
    run_folder.write_text(folder / SUMMARY, json.dumps(summary, indent=2) + "\n")
    return summary


def _run_fold(config: RunConfig, data: DataSet, fold: Fold, folder: Path) -> Figures:
    run_folder.prepare(folder, config, data, resume=True)
    if (folder / RESULT).exists():
        done: Figures = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return done
    fit(config, fold.train, fold.held_out, folder)
    _, servable = load_run(folder)
    probabilities = softmax(graphs.run_torch(servable, fold.held_out.crop()), temperature=1.0)
    measures = measure(probabilities, fold.held_out.majority, data.labels).as_dict()
    result = {"rows": float(len(fold.held_out))} | {name: float(str(measures[name])) for name in FIGURES}
    run_folder.write_text(folder / RESULT, json.dumps(result, indent=2) + "\n")
    return result


def cut_folds(faces: Faces, count: int, seed: int) -> list[Fold]:
    """Cut faces into folds in which emotions are as common as in the whole.

    Only faces with a clear majority are held out for judging; the others may be trained on.

    Raises:
        TrainingError: some emotion is too rare to be in every fold.
    """
    labels = np.where(faces.majority == NO_MAJORITY, faces.votes.argmax(axis=1), faces.majority)
    groups = _number_groups(faces)
    for label in range(faces.votes.shape[1]):
        kinds = len(set(groups[faces.majority == label].tolist()))
        if kinds < count:
            raise TrainingError(f"{count} folds need as many distinct faces or persons of each label: "
                                f"label {label} has {kinds}")  # fmt: skip
    cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    folds = []
    for _, rows in cutter.split(np.zeros(len(faces)), labels, groups):
        is_out = np.zeros(len(faces), np.bool_)
        is_out[rows] = True
        folds.append(Fold(faces.select(~is_out), faces.select(is_out & (faces.majority != NO_MAJORITY))))
    return folds


def _number_groups(faces: Faces) -> npt.NDArray[np.int64]:
    """Number what must not be parted, int64 [n]."""
    if faces.persons is not None:
        keys = faces.persons.tolist()
    else:
        keys = [hashlib.blake2b(tile.tobytes(), digest_size=16).digest() for tile in faces.tiles]
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)

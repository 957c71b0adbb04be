"""Train and measure once for each fold of a training split.

Knows no command line. A fold is a run like any other, in a folder of its own; a finished one is not repeated.
"""

import json
import statistics
from pathlib import Path

from training.config import RunConfig
from training.data.faces import DataSet
from training.errors import TrainingError
from training.exporting.export import load_run
from training.learning import run_folder
from training.learning.fit import fit
from training.measuring import graphs
from training.measuring.folds import Fold, cut_folds
from training.measuring.metrics import measure, softmax

PLAN, SUMMARY, RESULT = "folds.json", "cross_validation.json", "result.json"
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "negative_log_likelihood")

Figures = dict[str, float]


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
        "git_commit": run_folder.git_commit(),
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
    probabilities = softmax(graphs.run_torch(servable, fold.held_out.crops()), temperature=1.0)
    measures = measure(probabilities, fold.held_out.majority, data.labels).as_dict()
    result = {"rows": float(len(fold.held_out))} | {name: float(str(measures[name])) for name in FIGURES}
    run_folder.write_text(folder / RESULT, json.dumps(result, indent=2) + "\n")
    return result

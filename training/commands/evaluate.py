"""Measure a run, a model folder, an ONNX file or a running cluster.

A run is answered by torch; a folder (REPOSITORY/emotion_<name>) or a graph by ONNX Runtime as served; for
both the faces of a split are measured. An address (http://...) is asked over HTTP: the faces of the split
through POST /classify, and the images of portraits_4class through POST /predict.

Prints accuracy, balanced accuracy, F1, areas under the ROC curve, calibration error with 95 % bootstrap
intervals, and the confusion matrix, for all rows, without pixel copies, and without rows of uncertain label.
--prior measures answers that are corrected for another mix of expressions than the model was calibrated for;
a run is taken to be calibrated for the mix of its own validation split.
--json writes all figures, --report a folder with a page and PNG files.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fercore.contracts.prior import FORM, TRAINING
from training.commands import arguments, evaluate_cluster
from training.config import DataConfig
from training.data.faces import SPLITS, DataSet
from training.data.load import load_data
from training.errors import TrainingError
from training.learning.provenance import describe_provenance
from training.learning.run_folder import write_text
from training.measuring.bootstrap import RESAMPLES, SEED
from training.measuring.calibrate import count_shares
from training.measuring.evaluate import Examined, examine_split, fold, select_judged
from training.measuring.models import open_model
from training.measuring.report.folder import as_json, write_report
from training.measuring.report.page import Section

USUAL_DATASET = "fer_plus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "model", help="runs/cnn3, model_repository/emotion_cnn3, model.onnx, or http://127.0.0.1:8080"
    )
    parser.add_argument("--split", choices=SPLITS, default="validation", help="default: %(default)s")
    parser.add_argument(
        "--dataset",
        default=None,
        help=f"file in training/data/sets/ (default: what the model was trained on, else {USUAL_DATASET})",
    )
    parser.add_argument("--prior", default=TRAINING, metavar="MIX", help=f"{FORM} (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures here")
    parser.add_argument(
        "--report",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="write a page, PNG files and JSON here",
    )
    parser.add_argument(
        "--resamples",
        type=_parse_count,
        default=RESAMPLES,
        help="for intervals; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=_parse_count, default=SEED, help="of the resamples (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads a batch (default: %(default)s)")
    arguments.add_data(parser)
    evaluate_cluster.add_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    is_cluster = options.model.startswith(("http://", "https://"))
    found, sections = evaluate_cluster.measure(options, load) if is_cluster else _measure_local(options)
    facts = {
        "model": options.model,
        "prior": options.prior,
        **found,
        "resamples": options.resamples,
        "seed": options.seed,
        **describe_provenance(options.command_line),
    }
    subsets = {
        section.name: {name: examined.as_dict() for name, examined in section.subsets.items()}
        for section in sections
    }
    if options.prior != TRAINING:
        print(f"prior {options.prior}: {describe_shares(found['expected_shares'])}")
    for section in sections:
        for number, (subset, examined) in enumerate(section.subsets.items()):
            print_figures(f"{section.title}, {subset}", examined, is_whole=number == 0)
    figures = as_json(facts | {"subsets": subsets.pop("faces", {})} | subsets)
    if options.json:
        write_text(options.json, figures)
    if options.report:
        shown = {name: value for name, value in facts.items() if value is not None}
        shown["prior"] = f"{options.prior} ({describe_shares(shown.pop('expected_shares', None))})"
        write_report(options.report, f"Evaluation of {options.model}", shown, sections, figures)
        print(f"wrote {options.report}")


def load(options: argparse.Namespace, trained_on: DataConfig | None) -> tuple[str, DataSet]:
    """Read the data set that is asked for, else that of the model; give its name too."""
    if trained_on is None or options.dataset not in (None, trained_on.name):
        trained_on = DataConfig(name=_check_name(options.dataset or USUAL_DATASET))
    data = load_data(trained_on, options.data)
    for warning in data.warnings:
        print(f"warning: {warning}")
    return trained_on.name, data


def print_figures(title: str, examined: Examined, *, is_whole: bool) -> None:
    """Print the figures of some rows; the confusion matrix too where they are the whole."""
    measures, intervals = examined.measures, examined.intervals or {}
    print(
        f"{title}: {measures.rows} rows  accuracy {measures.accuracy:.4f}  "
        f"balanced {measures.balanced_accuracy:.4f}  calibration error "
        f"{measures.expected_calibration_error:.4f}  nll {measures.negative_log_likelihood:.4f}"
    )
    if not is_whole:
        return
    _print_intervals(measures.as_dict(), intervals)
    print(f"  {'true':<10}{'recall':>8}   answered " + " ".join(f"{e[:6]:>6}" for e in examined.emotions))
    for emotion, counts in zip(examined.emotions, measures.confusion, strict=True):
        recall = measures.recall[emotion.value]
        shown = "-" if recall is None else f"{recall:.3f}"
        print(f"  {emotion:<10}{shown:>8}            " + " ".join(f"{count:>6}" for count in counts))


def describe_shares(shares: object) -> str:
    """Return expected shares in one line; None: those that the model was calibrated for."""
    if not isinstance(shares, Mapping):
        return "as trained"
    return ", ".join(f"{emotion} {share:.4f}" for emotion, share in shares.items())


def _measure_local(options: argparse.Namespace) -> tuple[dict[str, object], list[Section]]:
    model = open_model(Path(options.model), threads=options.threads)
    name, data = load(options, model.data)
    faces = select_judged(data.splits[options.split])
    if model.is_run and model.data is not None and model.data.name == name:
        validation = select_judged(data.splits["validation"])
        model = replace(model, training_shares=count_shares(validation.majority, data.labels))
    expected = model.expect(options.prior)
    probabilities = fold(model.answer(faces.crop(), options.prior), model.emotions, data.labels)
    found = examine_split(faces, probabilities, data.labels, resamples=options.resamples, seed=options.seed)
    facts = {
        "expected_shares": expected,
        "data": name,
        "split": options.split,
        "temperature": model.temperature,
        "labels": [emotion.value for emotion in data.labels],
        "model_labels": [emotion.value for emotion in model.emotions],
    }
    return facts, [Section("faces", options.split, f"Framed faces of {name}, {options.split} split.", found)]


def _print_intervals(figures: Mapping[str, object], intervals: Mapping[str, object]) -> None:
    for name, figure in figures.items():
        interval = intervals.get(name)
        if isinstance(figure, float) and isinstance(interval, tuple):
            print(f"  {name:<28}{figure:7.4f}  95 % in [{interval[0]:.4f}, {interval[1]:.4f}]")


def _check_name(dataset: str) -> str:
    if not dataset.replace("_", "").isalnum() or not dataset.islower():
        raise TrainingError(f"--dataset {dataset!r}: only a-z, 0-9 and _")
    return dataset


def _parse_count(text: str) -> int:
    if (count := int(text)) < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return count

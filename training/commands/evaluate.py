"""Measure a model folder (as served, by ONNX Runtime) or a run (by torch) on a split.

Prints accuracy, balanced accuracy, recall by emotion, confusion matrix and calibration error, for all rows,
without pixel copies, and without rows of uncertain label; --json writes the same.
"""

import argparse
import json
from pathlib import Path

from pydantic import ValidationError

from fercore.contracts.card import ModelCard
from fercore.contracts.emotions import EMOTIONS
from training import graphs, run_folder
from training.commands import locations
from training.config import RunConfig
from training.errors import TrainingError
from training.evaluate import evaluate
from training.export import load_run
from training.faces import SPLITS
from training.measures import Measures
from training.plugins import load_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "model", type=Path, help="a folder such as model_repository/emotion_cnn3 or runs/cnn3"
    )
    parser.add_argument("--split", choices=SPLITS, default="validation", help="default: %(default)s")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures here")
    parser.add_argument("--threads", type=int, default=1, help="threads a batch (default: %(default)s)")
    locations.add_data_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    folder: Path = options.model
    if (folder / run_folder.CONFIG).exists():
        config, servable = load_run(folder)
        faces = load_data(config.data, options.data).splits[options.split]
        logits, temperature = graphs.run_torch(servable, faces.crops()), 1.0
    else:
        card = _read_card(folder)
        config = RunConfig.model_validate(card.training_config)
        faces = load_data(config.data, options.data).splits[options.split]
        logits = graphs.run_folder(folder, faces.crops(), threads=options.threads)
        temperature = card.temperature
    found = evaluate(faces, logits, temperature)
    for subset, measures in found.items():
        _print(f"{options.split}, {subset}", measures, is_whole=subset == "all")
    if options.json:
        report = {
            "model": str(folder),
            "split": options.split,
            "temperature": temperature,
            "subsets": {name: measures.as_dict() for name, measures in found.items()},
        }
        run_folder.write_text(options.json, json.dumps(report, indent=2) + "\n")


def _read_card(folder: Path) -> ModelCard:
    try:
        return ModelCard.model_validate_json((folder / "card.json").read_bytes())
    except OSError as err:
        raise TrainingError(f"{folder} is neither a run nor a model folder with a card.json") from err
    except ValidationError as err:
        raise TrainingError(
            f"{folder / 'card.json'} is not a model card ({err.error_count()} faults)"
        ) from err


def _print(title: str, measures: Measures, *, is_whole: bool) -> None:
    print(
        f"{title}: {measures.rows} rows  accuracy {measures.accuracy:.4f}  "
        f"balanced {measures.balanced_accuracy:.4f}  calibration error "
        f"{measures.expected_calibration_error:.4f}  nll {measures.negative_log_likelihood:.4f}"
    )
    if not is_whole:
        return
    print(f"  {'true':<10}{'recall':>8}   answered " + " ".join(f"{emotion[:6]:>6}" for emotion in EMOTIONS))
    for emotion, counts in zip(EMOTIONS, measures.confusion, strict=True):
        recall = measures.recall[emotion.value]
        shown = "-" if recall is None else f"{recall:.3f}"
        print(f"  {emotion:<10}{shown:>8}            " + " ".join(f"{count:>6}" for count in counts))

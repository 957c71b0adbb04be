"""Measure how calibration holds when the mix of expressions shifts, without and with `prior`.

Validation faces are drawn again so that they are mixed as each --mix says, and answered as trained and with
that mix as the prior. Each figure is the mean over the draws with the interval that holds 95 % of them.
"""

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

from fercore.contracts.prior import FORM, TRAINING
from training.commands import arguments
from training.config import DataConfig
from training.data.load import load_data
from training.errors import TrainingError
from training.learning.provenance import describe_provenance
from training.learning.run_folder import write_text
from training.measuring.evaluate import select_judged
from training.measuring.graphs import Logits
from training.measuring.metrics import Probabilities
from training.measuring.mixes import FIGURES, Figure, measure_shift
from training.measuring.models import LocalModel, open_model

USUAL = (
    "uniform",
    "neutral:1,happiness:1,sadness:1,anger:1",
    "neutral:0.3,happiness:0.05,surprise:0.05,sadness:0.35,anger:0.15,disgust:0.02,fear:0.07,contempt:0.01",
)
"""Equal shares, four expressions as in posed portraits, and a mix such as a clinic may have."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_model(parser)
    parser.add_argument(
        "--mix",
        action="append",
        default=None,
        metavar="MIX",
        help=f"{FORM}; may be repeated (default: three)",
    )
    parser.add_argument("--resamples", type=int, default=200, help="draws (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads a batch (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures here")
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.resamples < 1 or options.seed < 0:
        raise TrainingError("--resamples must be 1 or more, --seed must not be negative")
    model = open_model(options.model, threads=options.threads)
    if model.training_shares is None:
        raise TrainingError(f"{options.model} states no training_shares: export it again")
    trained = {str(emotion): share for emotion, share in model.training_shares.items()}
    mixes = {text: model.expect(text) or trained for text in options.mix or USUAL}
    data = load_data(model.data or DataConfig(name="fer_plus"), options.data)
    if data.labels != model.emotions:
        raise TrainingError("the model and its data set have other labels: there is nothing to draw by")
    faces = select_judged(data.splits["validation"])
    logits = model.logits(faces.crop())
    rows: list[dict[str, object]] = []
    print(
        f"{len(faces)} faces of {data.name_of('validation')}, {options.resamples} draws, seed {options.seed}"
    )
    for text, shares in mixes.items():
        found = measure_shift(
            logits,
            faces.majority,
            shares,
            partial(_judge, model, text),
            resamples=options.resamples,
            seed=options.seed,
        )
        rows.append({"mix": text, "shares": shares, **asdict(found)})
        print(f"\n{text}\n  {'':<28} {'as trained':<26} with this prior")
        for name in FIGURES:
            before, after = _format_figure(found.before[name]), _format_figure(found.after[name])
            print(f"  {name.replace('_', ' '):<28} {before:<26} {after}")
    facts = describe_provenance(options.command_line)
    print()
    for name, value in facts.items():
        print(f"{name.replace('_', ' ')}: {value}")
    if options.json:
        document = {"model": str(options.model), "faces": len(faces), "seed": options.seed, **facts}
        write_text(options.json, json.dumps(document | {"mixes": rows}, indent=2) + "\n")


def _judge(model: LocalModel, prior: str, logits: Logits, is_corrected: bool) -> Probabilities:
    return model.judge(logits, prior if is_corrected else TRAINING)


def _format_figure(figure: Figure) -> str:
    mean, low, high = figure
    return f"{mean:.4f} [{low:.4f}, {high:.4f}]"

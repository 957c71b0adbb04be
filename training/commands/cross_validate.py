"""Cross-validate a config on the training split, in RUNS/<name of the config>_folds/.

Persons, where they are known, and copies of the same pixels stay in one fold. Ctrl-C keeps finished folds
and the last whole epoch of the broken one; --resume goes on from there. No other split is touched.
"""

import argparse
from pathlib import Path
from typing import cast

from training.commands import train
from training.config import load_config
from training.data.load import load_data
from training.measuring.cross_validation import FIGURES, SUMMARY, cross_validate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    train.add_arguments(parser)
    parser.add_argument(
        "--folds", type=int, default=5, choices=range(2, 21), metavar="2..20", help="default: 5"
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    config = load_config(options.config)
    data = load_data(config.data, options.data)
    for line in data.report():
        print(line)
    folder: Path = options.runs / f"{config.name}_folds"
    summary = cross_validate(config, data, folder, folds=options.folds, resume=options.resume)
    for name in FIGURES:
        figure = cast("dict[str, float]", summary[name])
        print(f"{name}: {figure['mean']:.4f} +- {figure['standard_deviation']:.4f}")
    print(f"written to {folder / SUMMARY}")

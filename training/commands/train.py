"""Train a network as a config file says, into RUNS/<name of the config>/.

Ctrl-C keeps the last whole epoch; --resume goes on from there and gives the same numbers as an unbroken run.
"""

import argparse

from training.commands import arguments
from training.config import load_config
from training.data.load import load_data
from training.exporting.pruning_report import report_pruning
from training.learning import run_folder
from training.learning.fit import fit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_run(parser, "training/configs/cnn3.yaml")
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    config = load_config(options.config)
    data = load_data(config.data, options.data)
    for line in data.report():
        print(line)
    folder = options.runs / config.name
    run_folder.prepare(folder, config, data, resume=options.resume)
    print("  ".join(f"{split} {len(faces)}" for split, faces in data.splits.items()), flush=True)
    progress = fit(config, data.splits["train"], data.splits["validation"], folder)
    if config.pruning:
        print("  ".join(f"{name} {value:g}" for name, value in report_pruning(folder).items()))
    score = f"validation {config.fit.best_by.replace('_', ' ')} {progress.best_accuracy:.4f}"
    print(f"best: epoch {progress.best_epoch}, {score}, in {folder}")

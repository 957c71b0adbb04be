"""Turn a run's best weights into REPOSITORY/emotion_<name>/: graph, Triton config, model card.

Temperature and uncertain bound are fitted on the validation split. The graph must answer as torch does
(1e-4), or nothing is written. The test split is measured only with --report-test: once for each claim.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from training.commands import arguments
from training.data.load import load_data
from training.exporting.export import export
from training.learning.run_folder import load_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("run", type=Path, help="a run's folder, such as runs/cnn3")
    arguments.add_export(parser, usual_name="the run's")
    arguments.add_repository(parser)
    parser.add_argument(
        "--logit-adjustment",
        type=float,
        default=0.0,
        metavar="TAU",
        help="make the answers fairer to rare emotions: TAU times their log shares is taken from the logits; "
        "choose it on the validation split (default: 0, not at all)",
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    config, _ = load_run(options.run)
    goal = arguments.read_export(options, config.name, options.repository)
    goal = replace(goal, logit_adjustment=options.logit_adjustment)
    card = export(options.run, load_data(config.data, options.data), goal)
    for metric in card.metrics:
        print(f"{metric.name:32} {metric.value:7.4f}  {metric.measured_on}")
    print(f"temperature {card.temperature}, uncertain below {card.uncertain_below}; wrote {goal.folder}")

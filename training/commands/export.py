"""Turn a run's best weights into REPOSITORY/emotion_<name>/: graph, Triton config, model card.

Temperature and uncertain bound are fitted on the validation split. The graph must answer as torch does
(1e-4), or nothing is written. The test split is measured only with --report-test: once for each claim.
"""

import argparse
import re
from pathlib import Path

from training.commands import locations
from training.errors import TrainingError
from training.export import Export, export, load_run
from training.plugins import load_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("run", type=Path, help="a run's folder, such as runs/cnn3")
    parser.add_argument("--name", default=None, help="model name (default: the run's)")
    parser.add_argument(
        "--repository",
        type=Path,
        default=locations.REPOSITORY,
        help="model repository (default: %(default)s)",
    )
    parser.add_argument("--report-test", action="store_true", help="measure the test split too, for the card")
    locations.add_data_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    config, _ = load_run(options.run)
    name = options.name or config.name
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise TrainingError(f"--name {name!r}: only a-z, 0-9 and _")
    target = Export(
        name, options.repository, ("validation", "test") if options.report_test else ("validation",)
    )
    card = export(options.run, load_data(config.data, options.data), target)
    for metric in card.metrics:
        print(f"{metric.name:32} {metric.value:7.4f}  {metric.measured_on}")
    print(f"temperature {card.temperature}, uncertain below {card.uncertain_below}; wrote {target.folder}")

"""The options of the commands that write a model: its name, its place, and what its card reports.

Knows no command.
"""

import argparse
import re
from pathlib import Path

from training.commands import locations
from training.data.faces import Split
from training.errors import TrainingError
from training.exporting.export import Export


def add_arguments(parser: argparse.ArgumentParser, *, usual_name: str) -> None:
    """Declare `--name`, `--report-test` and `--data`; `usual_name`: the default name, in words."""
    parser.add_argument("--name", default=None, help=f"model name (default: {usual_name})")
    parser.add_argument("--report-test", action="store_true", help="measure the test split too, for the card")
    locations.add_data_argument(parser)


def read(options: argparse.Namespace, usual_name: str, repository: Path) -> Export:
    """Give what the options say.

    Raises:
        TrainingError: the name is not one that a model may have.
    """
    name = options.name or usual_name
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise TrainingError(f"--name {name!r}: only a-z, 0-9 and _")
    reported: tuple[Split, ...] = ("validation", "test") if options.report_test else ("validation",)
    data = () if options.data == locations.DATA else ("--data", str(options.data))
    return Export(name, repository, reported, made_by=options.command_line, data_arguments=data)

"""The options that several commands share: where they look, relative to the repository root."""

import argparse
from pathlib import Path

DATA = Path("data")
"""The folder that holds the data sets, or a link to it; git ignores it."""

RUNS = Path("runs")
REPOSITORY = Path("model_repository")


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--data`, the same for every command."""
    parser.add_argument("--data", type=Path, default=DATA, help="data folder (default: %(default)s)")


def add_repository_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--repository`."""
    parser.add_argument(
        "--repository", type=Path, default=REPOSITORY, help="model repository (default: %(default)s)"
    )


def add_runs_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--runs`."""
    parser.add_argument("--runs", type=Path, default=RUNS, help="where runs are kept (default: %(default)s)")

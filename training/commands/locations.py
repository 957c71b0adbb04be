"""Where the commands look by default, relative to the repository root.

Knows no command.
"""

import argparse
from pathlib import Path

DATA = Path("../shared/data")
RUNS = Path("runs")
REPOSITORY = Path("model_repository")


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--data`, the same for every command."""
    parser.add_argument("--data", type=Path, default=DATA, help="data folder (default: %(default)s)")

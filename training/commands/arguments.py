"""The arguments that several commands share."""

import argparse
import re
from pathlib import Path

from training.data.faces import Split
from training.data.primary_face import MIN_FACE_PX, MIN_SCORE
from training.errors import TrainingError
from training.exporting.export import Export

DATA = Path("data")
"""The folder that holds the data sets, or a link to it; git ignores it. Relative to the repository root."""

RUNS = Path("runs")
REPOSITORY = Path("model_repository")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Declare `--data`."""
    parser.add_argument("--data", type=Path, default=DATA, help="data folder (default: %(default)s)")


def add_repository(parser: argparse.ArgumentParser) -> None:
    """Declare `--repository`."""
    parser.add_argument(
        "--repository", type=Path, default=REPOSITORY, help="model repository (default: %(default)s)"
    )


def add_run(parser: argparse.ArgumentParser, example: str) -> None:
    """Declare the config, such as `example`, of a run, `--resume` and `--runs`."""
    parser.add_argument("config", type=Path, help=f"YAML file, such as {example}")
    parser.add_argument("--resume", action="store_true", help="continue from the last whole epoch")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where runs are kept (default: %(default)s)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare a model folder."""
    parser.add_argument("model", type=Path, help="a model folder, such as model_repository/emotion_cnn3")


def add_detector(parser: argparse.ArgumentParser) -> None:
    """Declare `--detector`, `--min-score` and `--repository`, where the detector finds its weights."""
    parser.add_argument("--detector", required=True, help="a file in services/detector/detectors/")
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="default: %(default)s")
    add_repository(parser)


def add_detection(parser: argparse.ArgumentParser) -> None:
    """Declare a model, and what finds the faces that it is shown: `add_detector` and `--min-face-px`."""
    add_model(parser)
    add_detector(parser)
    parser.add_argument("--min-face-px", type=int, default=MIN_FACE_PX, help="default: %(default)s")


def add_tiles(parser: argparse.ArgumentParser, count: int) -> None:
    """Declare `--tiles` with its default."""
    parser.add_argument(
        "--tiles", type=int, default=count, help="how many, evenly taken (default: %(default)s)"
    )


def add_export(parser: argparse.ArgumentParser, *, usual_name: str) -> None:
    """Declare `--name`, `--report-test` and `--data`; `usual_name`: the default name, in words."""
    parser.add_argument("--name", default=None, help=f"model name (default: {usual_name})")
    parser.add_argument("--report-test", action="store_true", help="measure the test split too, for the card")
    add_data(parser)


def read_export(options: argparse.Namespace, usual_name: str, repository: Path) -> Export:
    """Return the name, place and contents of the model that is written.

    Raises:
        TrainingError: the name is not one that a model may have.
    """
    name = options.name or usual_name
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise TrainingError(f"--name {name!r}: only a-z, 0-9 and _")
    reported: tuple[Split, ...] = ("validation", "test") if options.report_test else ("validation",)
    data = () if options.data == DATA else ("--data", str(options.data))
    return Export(name, repository, reported, made_by=options.command_line, data_arguments=data)

"""The arguments that every command takes: where to ask, and for what."""

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

from pydantic import ValidationError

from ferclient.blocking import Client
from ferclient.client import DEFAULT_URL, AsyncClient
from ferclient.terminal.commands import WrongUse
from ferclient.terminal.files import whole_file
from fercore.contracts.api import PredictOptions

Options = TypeVar("Options", bound=PredictOptions)
AnyClient = TypeVar("AnyClient", Client, AsyncClient)

NAMES = ("model", "detector", "max_faces", "min_face_px", "min_score", "prior")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a command."""
    server = parser.add_argument_group("server")
    server.add_argument(
        "--url",
        help=f"address of the server; default: FER_URL, or {DEFAULT_URL}",
    )
    server.add_argument("--model", metavar="NAME", help="emotion model; default: the server's own")
    server.add_argument("--detector", metavar="NAME", help="face detector; default: the server's own")
    server.add_argument("--max-faces", metavar="N", help="maximum number of faces, largest first")
    server.add_argument("--min-face-px", metavar="PIXELS", help="leave out smaller faces")
    server.add_argument(
        "--min-score", metavar="SCORE", help="leave out faces with a lower detection score, 0 to 1"
    )
    server.add_argument(
        "--prior",
        metavar="MIX",
        help="expressions to expect: training, uniform, or shares such as neutral:0.2,happiness:0.8; "
        "video and webcam also auto; default: the server's own",
    )
    server.add_argument(
        "--patience",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="how long to wait for a server that is busy or away; default: %(default)s",
    )


def parse_options(kind: type[Options], options: argparse.Namespace, **others: object) -> Options:
    """Return the arguments as the SDK's own options.

    Raises:
        WrongUse: a value is out of range.
    """
    values = {name: getattr(options, name) for name in NAMES} | others
    try:
        return kind.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as err:
        fault = err.errors()[0]
        name = str(fault["loc"][0]).replace("_", "-")
        raise WrongUse(f"--{name} {fault['input']}: {fault['msg']}") from err


def make_client(kind: type[AnyClient], options: argparse.Namespace) -> AnyClient:
    """Return the client for the address in the arguments.

    Raises:
        WrongUse: it is none, or the patience is negative.
    """
    if not 0 <= options.patience < math.inf:
        raise WrongUse(f"--patience {options.patience}: must be 0 or more")
    try:
        return kind(options.url, patience_s=options.patience)
    except ValueError as err:
        raise WrongUse(f"--url: {err}") from err


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Yield what to write text to: standard output, or a file that is there only when the block ends well."""
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        yield file


def has_no_bar() -> bool:
    """Return whether there is nobody to see a progress bar."""
    return not sys.stderr.isatty()

"""Find the faces of images and their emotions.

A folder means every JPEG, PNG and WebP image in it and below; a pattern in quotes may hold `**`.
An image that cannot be read or analysed is a row with its error, and the exit code is 1 at the end.

Examples:
  python -m ferclient predict photo.jpg
  python -m ferclient predict holiday/ --format csv --output faces.csv
  python -m ferclient predict 'scans/**/*.png' --format jsonl --concurrency 8
  python -m ferclient predict group.jpg --min-score 0.7 --draw drawn/
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from ferclient.client import AsyncClient
from ferclient.terminal import arguments
from ferclient.terminal.commands import DONE, FAILED, WrongUse
from ferclient.terminal.files import find_images, free_name, whole_file
from ferclient.terminal.rows import CsvRows, JsonLines, Rows, Table
from fercore.contracts.api import Prediction, PredictOptions

FORMATS: dict[str, Callable[[TextIO, Sequence[Path]], Rows]] = {
    "table": Table,
    "jsonl": lambda output, _: JsonLines(output),
    "csv": lambda output, _: CsvRows(output),
}
Draw = Callable[[Path, Prediction], bool]
MOST_AT_ONCE = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("files", nargs="+", metavar="FILE|DIR|GLOB", help="images")
    parser.add_argument("--format", choices=FORMATS, default="table", help="default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there; default: standard output")
    parser.add_argument(
        "--concurrency", type=int, default=4, metavar="N", help="requests at once; default: %(default)s"
    )
    parser.add_argument("--draw", type=Path, metavar="DIR", help="write each image with its boxes there")
    arguments.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if not 1 <= options.concurrency <= MOST_AT_ONCE:
        raise WrongUse(f"--concurrency {options.concurrency}: must be 1 to {MOST_AT_ONCE}")
    files = find_images(options.files)
    if not files:
        raise WrongUse(f"no image matches {' '.join(options.files)}")
    wanted = arguments.parse_options(PredictOptions, options)
    client = arguments.make_client(AsyncClient, options)
    draw = None if options.draw is None else _make_draw(options.draw)
    shows_rows = options.output is None and sys.stdout.isatty()
    bar = tqdm(total=len(files), unit="image", disable=arguments.has_no_bar() or shows_rows)
    with bar, arguments.open_output(options.output) as output:
        rows = FORMATS[options.format](output, files)
        failed = 0

        async def predict() -> None:
            nonlocal failed
            outcomes = client.predict_many(files, wanted, at_once=options.concurrency)
            async with client, contextlib.aclosing(outcomes):
                for file in files:
                    outcome = await anext(outcomes)
                    rows.write(file, outcome)
                    if not isinstance(outcome, Prediction):
                        failed += 1
                    elif draw is not None:
                        failed += not await asyncio.to_thread(draw, file, outcome)
                    bar.update()

        asyncio.run(predict())
    return FAILED if failed else DONE


def _make_draw(folder: Path) -> Draw:
    """Return a function that draws one file into a folder, and returns whether it could."""
    from ferclient.terminal import drawing  # noqa: PLC0415  # OpenCV is needed for --draw only

    taken: set[Path] = set()
    folder.mkdir(parents=True, exist_ok=True)

    def draw(file: Path, prediction: Prediction) -> bool:
        try:
            with whole_file(free_name(folder, file.stem, ".jpg", taken)) as part:
                drawing.draw_file(file, prediction.faces, part)
        except OSError as err:
            tqdm.write(f"not drawn: {err}", file=sys.stderr)
            return False
        return True

    return draw

"""Send every frame of a video through a stream, in order and without loss, and write what was found.

The annotated video has boxes, face ids, emotions and scores; a frame that failed says so. A face id belongs
to one `part`: when the server goes away and comes back, a new part begins. Without --output and --csv, both
are written to the current folder. The exit code is 1 if a frame failed or the end of the video is missing.

Each frame of the annotated video is shown when it is in the original, upright; the sound is kept. A name that
ends in .mp4 or .mov holds H.264, one in .webm VP9.

Examples:
  python -m ferclient video interview.mp4
  python -m ferclient video interview.mp4 --output drawn.mp4 --every 3
  python -m ferclient video interview.mp4 --csv faces.csv --detector yunet
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from tqdm import tqdm

from ferclient.blocking import Client
from ferclient.events import Event, FrameFailed, FrameResult, Reconnected
from ferclient.terminal import arguments, film, frames
from ferclient.terminal.commands import DONE, FAILED, WrongUse
from ferclient.terminal.drawing import draw_faces, draw_notice
from ferclient.terminal.extent import measure_extent
from ferclient.terminal.files import whole_file
from ferclient.terminal.film_writer import FilmWriter, open_writer
from ferclient.terminal.frames import TimedFrame
from ferclient.terminal.rows import CSV_FACE, face_cells, no_face_cells
from fercore.contracts.live import StreamOptions, StreamResult

CSV_COLUMNS = (
    "frame", "time_s", "part", "face_id", *CSV_FACE, "smoothed_emotion", "smoothed_score", "error"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame's place in the video."""

    index: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one frame.

    Attributes:
        part: 1, and one more after each time that the server went away.
    """

    moment: Moment
    part: int
    outcome: StreamResult | FrameFailed[Moment]


class Sink(Protocol):
    """Takes answers in the video's order."""

    def take(self, answer: Answer) -> None:
        """Take the next one."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="any video that FFmpeg can read")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the video with boxes there")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row for each face and frame there")
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="analyse every n-th frame only; default: %(default)s",
    )
    parser.add_argument("--smoothing", metavar="FRAMES", help="frames that are averaged; 1 is off")
    arguments.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.every < 1:
        raise WrongUse(f"--every {options.every}: must be 1 or more")
    wanted = arguments.parse_options(StreamOptions, options, smoothing=options.smoothing)
    if options.output is None and options.csv is None:
        options.output = Path(f"{options.file.stem}_annotated.mp4")
        options.csv = Path(f"{options.file.stem}_annotated.csv")
    if options.output == options.csv:
        raise WrongUse(f"--output and --csv are both {options.csv}")
    for target in (options.output, options.csv):
        if target is not None and target.exists() and target.samefile(options.file):
            raise WrongUse(f"{target} is the video itself")
    with ExitStack() as stack:
        stack.enter_context(options.file.open("rb")).close()  # says why it cannot, in Python's words
        length = measure_extent(options.file)
        video = stack.enter_context(film.open_film(options.file))
        client = stack.enter_context(arguments.make_client(Client, options))
        stream = stack.enter_context(client.stream(wanted))
        total = math.ceil(length.frames / options.every)
        bar = stack.enter_context(tqdm(total=total, unit="frame", disable=arguments.has_no_bar()))
        sinks: list[Sink] = []
        if options.output is not None:
            sinks.append(stack.enter_context(_annotate(options.file, options.output)))
        if options.csv is not None:
            sinks.append(stack.enter_context(_write_table(options.csv)))
        done = failed = 0
        events = stream.frames(_source(video, options.every), is_lossless=True)
        for answer in in_order(events, options.every):
            for sink in sinks:
                sink.take(answer)
            done += 1
            failed += isinstance(answer.outcome, FrameFailed)
            bar.total = max(total, done)  # some packets give two frames,
            bar.update()
        bar.total = done  # and some none
        bar.refresh()
    targets = " and ".join(str(target) for target in (options.output, options.csv) if target is not None)
    print(f"{done} frames analysed, {failed} of them failed: {targets}", file=sys.stderr)
    is_whole = length.is_whole and not video.damaged
    if not is_whole:
        print(f"{options.file} is cut or damaged; that is all that could be read of it", file=sys.stderr)
    return DONE if is_whole and not failed else FAILED


def in_order(events: Iterable[Event[Moment]], every: int) -> Iterator[Answer]:
    """Yield the answers in the video's order: after a reconnection they may come in another."""
    waiting: dict[int, Answer] = {}
    index, part = 0, 1
    for event in events:
        match event:
            case Reconnected(away_s=away_s):
                part += 1
                tqdm.write(f"the server was away for {away_s:.1f} s; face ids begin anew", file=sys.stderr)
            case FrameResult(frame=moment, result=result):
                waiting[moment.index] = Answer(moment, part, result)
            case FrameFailed(frame=moment):
                waiting[moment.index] = Answer(moment, part, event)
        while index in waiting:
            yield waiting.pop(index)
            index += every


def _source(video: film.Film, every: int) -> Iterator[tuple[Moment, bytes]]:
    for frame in video.frames(every):
        yield Moment(frame.index, frame.time_s), frames.encode_jpeg(frame.image)


class _Annotator:
    """Reads the video a second time, so that no frame has to be kept until its answer comes."""

    def __init__(self, frames: Iterator[TimedFrame], writer: FilmWriter) -> None:
        self._frames = frames
        self._writer = writer
        self._last: Answer | None = None

    def take(self, answer: Answer) -> None:
        """Write the frames before this one with what was found last."""
        self._write(answer.moment.index)
        self._last = answer

    def finish(self) -> None:
        """Write the frames that are left."""
        self._write(None)

    def _write(self, end: int | None) -> None:
        while self._last is not None and (frame := next(self._frames, None)) is not None:
            outcome = self._last.outcome
            if isinstance(outcome, FrameFailed):
                draw_notice(frame.image, f"not analysed: {outcome.code}")
            else:
                draw_faces(frame.image, outcome.faces)
            self._writer.add(frame)
            if end is not None and frame.index + 1 >= end:
                return


@contextmanager
def _annotate(file: Path, target: Path) -> Iterator[Sink]:
    with (
        whole_file(target) as part,
        film.open_film(file) as video,
        open_writer(part, video, target) as writer,
    ):
        annotator = _Annotator(video.frames(), writer)
        yield annotator
        annotator.finish()


class _Table:
    def __init__(self, output: TextIO) -> None:
        self._writer = csv.writer(output, lineterminator="\n")
        self._writer.writerow(CSV_COLUMNS)

    def take(self, answer: Answer) -> None:
        """Write the rows of one frame; a frame without any face has one, without a face id."""
        place = [answer.moment.index, f"{answer.moment.time_s:.3f}", answer.part]
        if isinstance(answer.outcome, FrameFailed):
            error = f"{answer.outcome.code}: {answer.outcome.detail}"
            self._writer.writerow([*place, "", *no_face_cells(), "", "", error])
        elif not answer.outcome.faces:
            self._writer.writerow([*place, "", *no_face_cells(), "", "", ""])
        else:
            for face in answer.outcome.faces:
                smoothed = face.smoothed
                cells = [face.face_id, *face_cells(face), smoothed.emotion, smoothed.score, ""]
                self._writer.writerow([*place, *cells])


@contextmanager
def _write_table(target: Path) -> Iterator[Sink]:
    with arguments.open_output(target) as file:
        yield _Table(file)

"""How long a film is, and whether its end is there, found by reading it once without decoding.

What a film says of itself is often missing or wrong: recordings of browsers say nothing,
Matroska and AVI files of variable rate are taken for more frames than they have.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av

from ferclient.terminal.film import choose_video, open_container, origin_s

MISSING_S = 1.0
"""A film that ends earlier than it says by more than this lacks its end."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a film holds.

    Attributes:
        frames: how many packets hold frames; a few of them may give none, or two of them one.
        is_whole: nothing is missing, as far as can be told without decoding.
    """

    frames: int
    is_whole: bool


def measure_extent(path: Path) -> Extent:
    """Measure a film.

    Raises:
        Failure: it is none.
    """
    frames, end_s, is_whole = 0, 0.0, True
    with _collect_errors() as errors, open_container(path) as container:
        film = choose_video(container, path)
        try:
            for packet in container.demux():
                frames += packet.stream_index == film.index and packet.size > 0 and not packet.is_discard
                is_whole &= not packet.is_corrupt
                if packet.pts is not None:
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except av.FFmpegError:
            is_whole = False
        stated_s = (container.duration or 0) / av.time_base
        end_s -= origin_s(container)
    breaks_off = any("prematurely" in word or "partial file" in word for _, _, word in errors)
    return Extent(frames, is_whole and not breaks_off and end_s > stated_s - MISSING_S)


@contextmanager
def _collect_errors() -> Iterator[list[tuple[int, str, str]]]:
    """Collect the error messages of FFmpeg: that a file breaks off, it reports in no other way."""
    is_skipping = av.logging.get_skip_repeated()
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as errors:
            yield errors
    finally:
        av.logging.set_level(None)  # as PyAV has it
        av.logging.set_skip_repeated(is_skipping)

"""Write a film that browsers play: each frame at its own time, the sound of its source beside it.

Needs PyAV and OpenCV.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from ferclient.terminal.commands import Failure
from ferclient.terminal.drawing import BgrImage
from ferclient.terminal.film import Film
from ferclient.terminal.frames import TimedFrame
from ferclient.terminal.sound import Sound, SoundEncoder, carry_sound

Encoder: TypeAlias = Literal["libx264", "libvpx-vp9"]


@dataclass(frozen=True, slots=True)
class Form:
    """What goes into a kind of file.

    Attributes:
        encoder: of the frames; without frames that are shown later than written, so that time stamps
            are exact in every kind of file.
        copies: the codecs of sound that it may hold and that browsers play.
        sound_encoder: for sound of any other codec.
    """

    encoder: Encoder
    options: dict[str, str]
    muxing: dict[str, str]
    copies: frozenset[str]
    sound_encoder: SoundEncoder


H264: tuple[Encoder, dict[str, str]] = ("libx264", {"preset": "veryfast", "crf": "20", "bf": "0"})
VP9: tuple[Encoder, dict[str, str]] = (
    "libvpx-vp9",
    {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "30", "b": "0"},
)
INDEX_FIRST = {"movflags": "+faststart"}  # plays while it is loaded
FORMS = {
    ".mp4": Form(*H264, INDEX_FIRST, frozenset({"aac", "mp3", "opus", "flac"}), "aac"),
    ".mov": Form(*H264, INDEX_FIRST, frozenset({"aac", "mp3"}), "aac"),
    ".webm": Form(*VP9, {}, frozenset({"opus", "vorbis"}), "libopus"),
}
YUV = frozenset({1, 2, 4, 5, 6, 7, 9})
"""Colour matrices that the encoders and the conversion know; 2 is not stated (ISO/IEC 23091-2, table 4)."""
BT_709 = 1
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT  # grey stays grey


class FilmWriter:
    """A film that is being written: upright, as large as its source, with square pixels and even sides."""

    def __init__(self, container: OutputContainer, stream: VideoStream, film: Film, sound: Sound) -> None:
        self._container, self._stream, self._sound = container, stream, sound
        self._start_s, self._time_base = film.start_s, film.time_base
        self._size, self._pixel_aspect = _size(film), film.pixel_aspect
        self._reformatter = VideoReformatter()
        self._last_stamp = -1

    def add(self, frame: TimedFrame) -> None:
        """Write the next frame, and the sound until then; one of another size is fitted in."""
        image = _pad(_fit(frame.image, self._pixel_aspect, *self._size))
        coded = VideoFrame.from_ndarray(image, format="bgr24")
        coded.colorspace = self._stream.colorspace
        coded = self._reformatter.reformat(
            coded, format="yuv420p", dst_color_range=ColorRange.MPEG, interpolation=EXACT, threads=1
        )
        time_s = self._start_s + frame.time_s
        coded.pts = max(round(time_s / self._time_base), self._last_stamp + 1)
        coded.duration = max(1, round(frame.duration_s / self._time_base))
        coded.time_base = self._time_base
        self._last_stamp = coded.pts
        self._sound.write_until(time_s)
        self._container.mux(self._stream.encode(coded))

    def finish(self) -> None:
        """Write what the encoder still holds, and the rest of the sound."""
        self._container.mux(self._stream.encode(None))
        self._sound.write_until(np.inf)


@contextmanager
def open_writer(path: Path, film: Film, name: Path) -> Iterator[FilmWriter]:
    """Write a film to `path`; faults name the file `name`.

    Raises:
        Failure: it cannot be written.
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise Failure(f"{name} cannot be written: its name must end in {', '.join(FORMS)}")
    try:
        with av.open(f"file:{path}", "w", options=form.muxing) as container:
            stream = _add_video(container, form, film)
            with carry_sound(film.path, container, form.copies, form.sound_encoder) as sound:
                container.start_encoding()  # opens the file: a fault shows before the work, not after
                writer = FilmWriter(container, stream, film, sound)
                yield writer
                writer.finish()
    except av.FFmpegError as err:
        raise Failure(f"{name} cannot be written: {err.strerror}") from err


def _add_video(container: OutputContainer, form: Form, film: Film) -> VideoStream:
    """Add the stream of frames; their colours stay coded as in the source, so that they look the same."""
    stream = container.add_stream(form.encoder, film.rate, options=form.options)
    width, height = _size(film)
    coder, like = stream.codec_context, film.first
    coder.width, coder.height, coder.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    coder.time_base = film.time_base
    coder.flags |= Flags.frame_duration  # else the last frame lasts as long as the stated rate says
    coder.colorspace = like.colorspace if like.colorspace in YUV else BT_709
    coder.color_range = ColorRange.MPEG
    coder.color_primaries, coder.color_trc = like.color_primaries, like.color_trc
    return stream


def _size(film: Film) -> tuple[int, int]:
    """Return width and height, upright, in square pixels."""
    width, height = film.first.width, film.first.height
    if film.turn.swaps_sides:
        width, height = height, width
    aspect, square = film.pixel_aspect, Fraction(1)
    return round(width * max(aspect, square)), round(height / min(aspect, square))


def _fit(image: BgrImage, pixel_aspect: Fraction, width: int, height: int) -> BgrImage:
    """Fit it into this size, padded with black: the film of a window changes size as that does."""
    if pixel_aspect == 1 and image.shape[:2] == (height, width):
        return image
    shown = float(image.shape[1] * pixel_aspect), image.shape[0]
    scale = min(width / shown[0], height / shown[1])
    inner_width, inner_height = max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = cv2.resize(
        image, (inner_width, inner_height)
    )
    return canvas


def _pad(image: BgrImage) -> BgrImage:
    """Repeat the last row and column where their number is odd: one colour is coded for two by two pixels."""
    height, width = image.shape[:2]
    if not (width % 2 or height % 2):
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")

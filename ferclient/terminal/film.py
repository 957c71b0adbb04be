"""Read a film: every frame once, upright, at its own time; needs PyAV."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ferclient.terminal.commands import Failure
from ferclient.terminal.drawing import BgrImage
from ferclient.terminal.frames import TimedFrame
from ferclient.terminal.turning import Turn

USUAL_RATE = Fraction(25)
"""Frames a second, of a film that does not say, or says what cannot be."""
HIGHEST_RATE = 240
MOST_OBLONG = Fraction(4)
"""Pixels of 4:1 or 1:4 are the most oblong that are believed."""

AnyPacket: TypeAlias = "Packet[Stream]"  # only PyAV's stubs make it generic


class Film:
    """An open film; its frames can be read once.

    Attributes:
        path: where it is.
        first: its first frame, decoded, for sizes and colours.
        turn: how the first frame is brought upright.
        time_base: seconds of one tick of its clock.
        rate: about how many frames a second.
        pixel_aspect: width by height of one pixel, upright.
        start_s: when its first frame is shown, after the start of the film: its sound may begin before.
        damaged: how many packets could not be decoded so far.
    """

    def __init__(self, path: Path, container: InputContainer) -> None:
        self._container = container
        self._stream = stream = choose_video(container, path)
        stream.thread_type = ThreadType.AUTO
        self._reformatter = VideoReformatter()
        self.damaged = 0
        self._frames = self._decode_frames()
        first = next(self._frames, None)
        if first is None:
            raise Failure(f"{path} has no frame that can be read")
        self.path = path
        self.first = first
        self.turn = Turn.of(first)
        self.time_base = stream.time_base or Fraction(1, 1000)
        rate = stream.average_rate or stream.guessed_rate
        self.rate = rate if rate is not None and 1 <= rate <= HIGHEST_RATE else USUAL_RATE
        aspect = stream.sample_aspect_ratio or Fraction(1)
        aspect = aspect if MOST_OBLONG >= aspect >= 1 / MOST_OBLONG else Fraction(1)
        self.pixel_aspect = 1 / aspect if self.turn.swaps_sides else aspect
        self._start = stream.start_time or 0
        self.start_s = float(self._start * self.time_base) - origin_s(container)

    def frames(self, every: int = 1) -> Iterator[TimedFrame]:
        """Yield every n-th frame to the end, beginning with the first.

        Times count from the first frame. A frame without a time comes one usual interval after the last.
        """
        time_s, interval_s = 0.0, 1 / float(self.rate)
        for index, frame in enumerate(self._all_frames()):
            stamp = frame.dts if frame.pts is None else frame.pts
            if stamp is not None:
                time_s = float((stamp - self._start) * self.time_base)
            elif index:
                time_s += interval_s
            if index % every == 0:
                mean_s = time_s / index if index else interval_s
                yield TimedFrame(index, time_s, self._image(frame), self._duration_s(frame, time_s, mean_s))

    def _duration_s(self, frame: VideoFrame, time_s: float, mean_s: float) -> float:
        """Return how long a frame is shown if it is the last; the others are shown until the next.

        Recordings of browsers say 1 ms, or nothing; in an mp4 it is the time to the next one that is stored,
        which may be shown earlier.
        """
        said_s = float(frame.duration * self.time_base)
        if said_s < 1 / HIGHEST_RATE:
            return mean_s
        if self._stream.duration is None:
            return said_s
        left_s = float(self._stream.duration * self.time_base) - time_s
        return min(said_s, left_s if left_s > 0 else mean_s)

    def _all_frames(self) -> Iterator[VideoFrame]:
        yield self.first
        yield from self._frames

    def _decode_frames(self) -> Iterator[VideoFrame]:
        for packet in read_packets(self._container, self._stream):
            try:
                yield from self._stream.decode(packet)
            except av.FFmpegError:
                self.damaged += 1

    def _image(self, frame: VideoFrame) -> BgrImage:
        bgr = self._reformatter.reformat(frame, format="bgr24", threads=1).to_ndarray()
        return Turn.of(frame).upright(np.asarray(bgr, np.uint8))


@contextmanager
def open_film(path: Path) -> Iterator[Film]:
    """Open a film.

    Raises:
        Failure: it is none.
    """
    with open_container(path) as container:
        yield Film(path, container)


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open what a film is packed in.

    Raises:
        Failure: it is no film.
    """
    try:
        container = av.open(f"file:{path}", "r", metadata_errors="replace")  # a name may look like an address
    except (av.error.InvalidDataError, av.error.EOFError) as err:
        raise Failure(f"{path} is no film, or an mp4 that lacks its end: nothing can be read of it") from err
    except av.FFmpegError as err:
        raise Failure(f"{path} cannot be read: {err.strerror}") from err
    with container:
        yield container


def read_packets(container: InputContainer, *streams: Stream) -> Iterator[AnyPacket]:
    """Yield the packets of streams, or of all; a film that breaks off ends there."""
    try:
        yield from container.demux(*streams)
    except av.FFmpegError:
        return


def choose_video(container: InputContainer, path: Path) -> VideoStream:
    """Choose the video stream; the cover of a piece of music is none.

    Raises:
        Failure: there are none.
    """
    best = container.streams.best("video")
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not films:
        raise Failure(f"{path} has no video" + (", only sound" if container.streams.audio else ""))
    return next((stream for stream in films if stream is best), films[0])


def choose_sound(container: InputContainer) -> AudioStream | None:
    """Choose the sound stream: that which a player plays unless told otherwise."""
    best = container.streams.best("audio")
    if isinstance(best, AudioStream) and best.codec_context is not None:  # None: nobody knows the codec
        return best
    return None


def origin_s(container: InputContainer) -> float:
    """Return the time at which a film starts, by its own clock; broadcasts start at any.

    Sound that a decoder needs to begin, and that is not heard, lies before.
    """
    starts = [
        float(stream.start_time * stream.time_base)
        for stream in (container.streams.best("video"), choose_sound(container))
        if stream is not None and stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=0.0)

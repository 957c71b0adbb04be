"""Small films made by PyAV: what cameras, phones and browsers write."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.codec.context import Flags
from av.stream import Stream

from ferclient.terminal import film
from ferclient.terminal.film_writer import open_writer

OPTIONS = {"crf": "10", "b": "2M", "bf": "0"}
CODECS = {"libvpx": "vp8", "libvpx-vp9": "vp9"}
MILLISECONDS = Fraction(1, 1000)
SAMPLES = {
    "s16": (2**15 - 1, np.int16),
    "s32p": (2**31 - 1, np.int32),
    "flt": (1, np.float32),
    "fltp": (1, np.float32),
}
BROWSERS_TIMES_MS = (0, 28, 61, 95, 130, 164, 700, 733, 767, 800)
"""Of a MediaRecorder: about 30 a second, with a pause."""
QUARTERS = np.zeros((48, 64, 3), np.uint8)
"""Upright: red and green above, blue and white below (BGR)."""
QUARTERS[:24, :32] = 0, 0, 255
QUARTERS[:24, 32:] = 0, 255, 0
QUARTERS[24:, :32] = 255, 0, 0
QUARTERS[24:, 32:] = 255, 255, 255


def greys(count: int, *, width: int = 160, height: int = 120) -> list[np.ndarray]:
    """Frames of one colour each, every one brighter than the last."""
    return [np.full((height, width, 3), 10 + 235 * number // count, np.uint8) for number in range(count)]


def write_film(
    path: Path,
    images: Sequence[np.ndarray],
    times_ms: Sequence[int],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    last_ms: int = 40,
    matrix: Sequence[int] | None = None,
    pixel_aspect: Fraction | None = None,
    sound: str | None = None,
    sound_from_ms: int = 0,
    sound_ms: int = 1000,
    is_live: bool = False,
    is_interlaced: bool = False,
) -> Path:
    """Write images (BGR) at their times, and a tone beside them.

    Args:
        matrix: a, b, c, d of the display matrix.
        sound: its encoder.
        is_live: as browsers record: a WebM without duration and without index.
    """
    height, width = images[0].shape[:2]
    options = OPTIONS | ({"flags": "+ildct+ilme"} if is_interlaced else {})
    with av.open(str(path), "w", options={"live": "1"} if is_live else {}) as container:
        if is_live:  # it says no rate
            coder = cast("av.VideoCodecContext", av.CodecContext.create(codec, "w"))
            coder.options = options
            stream = cast(
                "av.VideoStream",
                container.add_mux_stream(CODECS[codec], width=width, height=height, time_base=MILLISECONDS),
            )
        else:
            stream = cast("av.VideoStream", container.add_stream(codec, 25, options=options))
            coder = stream.codec_context
        coder.width, coder.height, coder.pix_fmt, coder.time_base = width, height, pixels, MILLISECONDS
        coder.flags |= Flags.frame_duration
        if pixel_aspect is not None:
            coder.sample_aspect_ratio = pixel_aspect
        if matrix is not None:
            a, b, c, d = (value << 16 for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        packets: list[av.Packet] = []
        if sound is not None:
            tone = cast("av.AudioStream", container.add_stream(sound, 48000, layout="mono"))
            packets += tone.encode(_tone(tone, sound_from_ms, sound_ms)) + tone.encode(None)
        for image, time_ms, next_ms in zip(
            images, times_ms, [*times_ms[1:], times_ms[-1] + last_ms], strict=True
        ):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pixels)
            frame.pts, frame.duration, frame.time_base = time_ms, next_ms - time_ms, MILLISECONDS
            packets += _of(stream, coder.encode(frame))
        packets += _of(stream, coder.encode(None))
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        container.mux(packets)
    return path


def _of(stream: Stream, packets: list[av.Packet]) -> list[av.Packet]:
    for packet in packets:
        packet.stream = stream
    return packets


def _tone(stream: av.AudioStream, from_ms: int, length_ms: int) -> av.AudioFrame:
    """A tone of 440 Hz with a click each quarter of a second."""
    instants = np.arange(48 * length_ms) / 48000
    wave = 0.2 * np.sin(2 * math.pi * 440 * instants)
    wave[:: 48000 // 4] = 0.9
    kind = stream.format.name
    most, sample = SAMPLES[kind]
    samples = (wave * most).astype(sample)
    frame = av.AudioFrame.from_ndarray(samples[None], format=kind, layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 48 * from_ms, Fraction(1, 48000)
    return frame


def read_film(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Give the times of all frames in seconds, and the images (BGR), as PyAV reads them."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [float(f.pts * f.time_base) for f in frames], [f.to_ndarray(format="bgr24") for f in frames]


def duration_s(path: Path) -> float:
    """Give what the file says of its length."""
    with av.open(str(path)) as container:
        return container.duration / av.time_base


def codecs(path: Path) -> list[str]:
    """Give what the images and the sound are coded in."""
    with av.open(str(path)) as container:
        streams = [*container.streams.video, *container.streams.audio]
        return [stream.codec_context.codec.canonical_name for stream in streams]


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """Give the packets of sound and their times in seconds."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in packets]


def loudest_s(path: Path) -> float:
    """Give when the sound begins to be loud, in seconds from the start of the film."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = abs(frame.to_ndarray().astype(float)).reshape(len(frame.layout.channels), -1)[0]
            loud = (wave > 0.1 * SAMPLES[frame.format.name][0]).nonzero()[0]
            if loud.size:
                return float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    raise AssertionError("it is silent")


def browser_recording(path: Path) -> Path:
    """Write what a browser records: no duration, no rate, a pause."""
    images = greys(len(BROWSERS_TIMES_MS))
    return write_film(path, images, BROWSERS_TIMES_MS, codec="libvpx", is_live=True)


def copied(source: Path, target: Path) -> Path:
    """Read a film and write it again."""
    with film.open_film(source) as video, open_writer(target, video, target) as recording:
        for frame in video.frames():
            recording.add(frame)
    return target


def times_of(path: Path) -> list[float]:
    with film.open_film(path) as video:
        return [frame.time_s for frame in video.frames()]

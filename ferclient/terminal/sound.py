"""Carry the sound of one film into another: as it is where it can be, encoded again where not; needs PyAV."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from ferclient.terminal import film
from ferclient.terminal.film import AnyPacket

SoundEncoder: TypeAlias = Literal["aac", "libopus"]

RATE = 48_000
"""Samples a second of sound that is encoded again: both encoders and every player take it."""


class Sound:
    """Packets of sound that wait for the frame with which they are heard."""

    def __init__(self, packets: Iterator[AnyPacket], target: OutputContainer) -> None:
        self._packets = packets
        self._target = target
        self._next = next(packets, None)

    def write_until(self, time_s: float) -> None:
        """Write what is heard up to a time, from the start of the film."""
        while self._next is not None and _time_s(self._next) <= time_s:
            self._target.mux_one(self._next)
            self._next = next(self._packets, None)


@contextmanager
def carry_sound(
    source: Path, target: OutputContainer, copies: frozenset[str], encoder: SoundEncoder
) -> Iterator[Sound]:
    """Add the sound of a film to another that is being written; without any, there is nothing to write.

    Args:
        source: the film.
        target: no packet of it is written yet.
        copies: the codecs that stay as they are.
        encoder: what encodes the others.

    Raises:
        Failure: the source is no film.
        FFmpegError: it cannot be added.
    """
    with film.open_container(source) as container:
        sound = film.choose_sound(container)
        if sound is None:
            packets: Iterator[AnyPacket] = iter(())
        elif sound.codec_context.codec.canonical_name in copies:
            packets = _copy(container, sound, target.add_stream_from_template(sound))
        else:
            layout = "mono" if sound.channels == 1 else "stereo"
            added = target.add_stream(encoder, RATE, layout=layout)
            packets = _encode(container, sound, added)
        yield Sound(packets, target)


def _copy(container: InputContainer, sound: AudioStream, target: AudioStream) -> Iterator[AnyPacket]:
    origin_s, last = film.origin_s(container), -math.inf
    for packet in film.read_packets(container, sound):
        if packet.size and packet.pts is not None and packet.dts is not None and packet.dts > last:
            last, origin = packet.dts, round(origin_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - origin, packet.dts - origin
            packet.stream = target
            yield packet


def _encode(container: InputContainer, sound: AudioStream, target: AudioStream) -> Iterator[AnyPacket]:
    """Encode it as one or two channels; a pause becomes silence, as the encoder counts samples."""
    resampler = AudioResampler(target.format, target.layout, RATE, frame_size=1024, options={"async": "1"})
    for frame in _decode(container, sound):
        for part in resampler.resample(frame):
            yield from target.encode(part)
    for part in resampler.resample(None):
        yield from target.encode(part)
    yield from target.encode(None)


def _decode(container: InputContainer, sound: AudioStream) -> Iterator[AudioFrame]:
    """Decode what can be; what is of another form than the first frame (rate, channels) is left out."""
    origin_s, form = film.origin_s(container), None
    for packet in film.read_packets(container, sound):
        try:
            frames = sound.decode(packet)
        except av.FFmpegError:
            continue
        for frame in frames:
            form = form or (frame.format.name, frame.layout.name, frame.sample_rate)
            if form == (frame.format.name, frame.layout.name, frame.sample_rate):
                if frame.pts is not None and frame.time_base is not None:
                    frame.pts -= round(origin_s / frame.time_base)
                yield frame


def _time_s(packet: AnyPacket) -> float:
    return float((packet.pts or 0) * packet.time_base)

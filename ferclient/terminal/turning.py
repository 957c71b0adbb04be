"""Bring a frame upright by the display matrix of its film.

PyAV does not turn frames by itself.
"""

import struct
from dataclasses import dataclass
from typing import Self

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame

from ferclient.terminal.drawing import BgrImage


@dataclass(frozen=True, slots=True)
class Turn:
    """One of the eight ways in which an image can lie.

    Attributes:
        swaps_sides: rows become columns, before all else.
        is_mirrored: left and right change places.
        is_upside_down: above and below change places.
    """

    swaps_sides: bool
    is_mirrored: bool
    is_upside_down: bool

    @classmethod
    def of(cls, frame: VideoFrame) -> Self:
        """Read that of a frame; an oblique one is taken for the next right angle.

        The matrix maps a stored point (x, y) to (a x + c y, b x + d y); ISO/IEC 14496-12, 6.2.2.
        """
        a, b, c, d = _matrix(frame)
        if abs(b) > abs(a):
            return cls(swaps_sides=True, is_mirrored=c < 0, is_upside_down=b < 0)
        return cls(swaps_sides=False, is_mirrored=a < 0, is_upside_down=d < 0)

    def upright(self, image: BgrImage) -> BgrImage:
        """Turn an image; returns one that owns its pixels."""
        if self.swaps_sides:
            image = image.transpose(1, 0, 2)
        if self.is_mirrored:
            image = image[:, ::-1]
        if self.is_upside_down:
            image = image[::-1]
        return np.ascontiguousarray(image)


def _matrix(frame: VideoFrame) -> tuple[float, float, float, float]:
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 returns none at all for a frame that has a kind unknown to it, as EXIF
        angle = np.deg2rad(frame.rotation)  # counter-clockwise
        return float(np.cos(angle)), float(-np.sin(angle)), float(np.sin(angle)), float(np.cos(angle))
    if not isinstance(data, Buffer):
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    return a, b, c, d

"""A decoded picture at the scale that it is worked on, and how faces are found in it.

Knows no particular detector. Serving and `python -m training` find faces by this one `detect_in`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from fercore.contracts.card import FACE_SIZE
from fercore.vision.crop import RgbImage, Square
from fercore.vision.detection import Detections, Detector

DETECT_SIZE_PX = 640
"""Longer side of what a detector is shown, where nobody says otherwise."""

SMALLEST_FULL_PX = 17.0
"""A face whose square has a smaller side, in pixels of the full picture, is not worth a full decoding."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright picture, in full or decoded at a reduced scale.

    Attributes:
        pixels: uint8 [h, w, 3], RGB, upright.
        width: of the picture in full, upright, in pixels.
        height: likewise.
        scale: so many pixels of the picture in full, along either axis, are one of `pixels`.
        left: where the first column of `pixels` begins, in pixels of the picture in full; below 0 where it
            reaches over the edge.
        top: the same of the first row.
    """

    pixels: RgbImage
    width: int
    height: int
    scale: int = 1
    left: int = 0
    top: int = 0

    @classmethod
    def in_full(cls, pixels: RgbImage) -> "Picture":
        """Give a picture of which all pixels are there."""
        return cls(pixels, pixels.shape[1], pixels.shape[0])

    def in_pixels(self, square: Square) -> Square:
        """Give where a square of the picture in full lies in `pixels`."""
        x, y = square.centre
        centre = (x - self.left) / self.scale, (y - self.top) / self.scale
        return Square.around(centre, square.side / self.scale, square.tilt)

    def is_too_coarse_for(self, square: Square) -> bool:
        """Tell whether the crop of a square of the picture in full would gain from a full decoding."""
        return self.scale > 1 and square.side >= SMALLEST_FULL_PX and self.in_pixels(square).side < FACE_SIZE


def detect_in(
    detector: Detector, picture: Picture, *, min_face_px: int, longer_side_px: int = DETECT_SIZE_PX
) -> Detections:
    """Find the faces of a picture, showing the detector no more pixels than it needs.

    Args:
        detector: any.
        picture: in full or reduced.
        min_face_px: in pixels of the picture in full; a hint, see `Detector.detect`.
        longer_side_px: what the detector is shown is averaged down to at most this.

    Returns:
        Boxes and landmarks in pixels of the picture in full.
    """
    height, width = picture.pixels.shape[:2]
    scale = min(1.0, longer_side_px / max(height, width))
    shown = picture.pixels
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shown = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), np.uint8)
    to_full = np.array([width / shown.shape[1], height / shown.shape[0]], np.float32) * picture.scale
    found = detector.detect(shown, min_face_px=max(1, int(min_face_px / to_full.max())))
    if (to_full == 1).all():
        return found
    corner = np.array([picture.left, picture.top], np.float32)
    return found.moved(to_full, corner)

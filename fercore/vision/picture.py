"""A decoded picture at the scale that it is worked on, and how faces are found in it.

Knows no particular detector. Serving and `python -m training` find faces by this one `detect_in`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from fercore.contracts.card import FACE_SIZE
from fercore.vision.crop import RgbImage, Square
from fercore.vision.detection import Detections, Detector
from fercore.vision.quality import SMALLEST_PX

DETECT_SIZE_PX = 640
"""Longer side of what a detector is shown, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright picture, in full or decoded at a reduced scale.

    Attributes:
        pixels: uint8 [h, w, 3], RGB, upright.
        width: of the picture in full, upright, in pixels.
        height: likewise.
    """

    pixels: RgbImage
    width: int
    height: int

    @classmethod
    def in_full(cls, pixels: RgbImage) -> "Picture":
        """Give a picture of which all pixels are there."""
        return cls(pixels, pixels.shape[1], pixels.shape[0])

    @property
    def is_reduced(self) -> bool:
        """Tell whether the picture in full has more pixels."""
        return self.pixels.shape[:2] != (self.height, self.width)

    def in_pixels(self, square: Square) -> Square:
        """Give where a square of the picture in full lies in `pixels`.

        Reduced sides are rounded up, each for itself: the centre moves by the two true ratios, and the side
        shrinks by their mean, for a square must stay one.
        """
        height, width = self.pixels.shape[:2]
        across, down = width / self.width, height / self.height
        centre_x, centre_y = square.centre
        side = square.side * (across + down) / 2
        return Square.around((centre_x * across, centre_y * down), side, square.tilt)

    def is_too_coarse_for(self, square: Square) -> bool:
        """Tell whether the crop of a square of the picture in full would gain from a full decoding.

        A face that is too small to be trusted in full is not worth it.
        """
        return self.is_reduced and square.side >= SMALLEST_PX and self.in_pixels(square).side < FACE_SIZE


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
    across, down = picture.width / shown.shape[1], picture.height / shown.shape[0]
    found = detector.detect(shown, min_face_px=max(1, int(min_face_px / max(across, down))))
    if across == down == 1:
        return found
    to_full = np.array([across, down], np.float32)
    return Detections(
        found.boxes * np.tile(to_full, 2),
        found.scores,
        None if found.landmarks is None else found.landmarks * to_full,
    )

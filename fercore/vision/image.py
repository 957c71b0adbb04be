"""A decoded image at the scale that it is worked on, and where a square of it in full lies."""

from dataclasses import dataclass

from fercore.contracts.card import FACE_SIZE
from fercore.vision.crop import RgbImage, Square

SMALLEST_FULL_PX = 17.0
"""A face whose square has a smaller side, in pixels of the full image, is not worth a full decoding."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An upright image, in full or decoded at a reduced scale.

    Attributes:
        pixels: uint8 [h, w, 3], RGB, upright.
        width: of the full image, upright, in pixels.
        height: of the full image, upright, in pixels.
        scale: so many pixels of the full image, along either axis, are one of `pixels`.
        left: where the first column of `pixels` begins, in pixels of the full image; below 0 where it
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
    def in_full(cls, pixels: RgbImage) -> "DecodedImage":
        """Return an image of which all pixels are there."""
        return cls(pixels, pixels.shape[1], pixels.shape[0])

    def in_pixels(self, square: Square) -> Square:
        """Return where a square of the full image lies in `pixels`."""
        x, y = square.centre
        centre = (x - self.left) / self.scale, (y - self.top) / self.scale
        return Square.around(centre, square.side / self.scale, square.tilt)

    def is_too_coarse_for(self, square: Square) -> bool:
        """Return whether the crop of a square of the full image would gain from a full decoding."""
        return self.scale > 1 and square.side >= SMALLEST_FULL_PX and self.in_pixels(square).side < FACE_SIZE

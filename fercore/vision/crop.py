"""Crop a face to the canonical frame: the one function that training and serving share.

A plug-in says by its `Framing` how its boxes sit in the canonical square.

The canonical square is the frame of a FER2013 tile: a square around the face as that data set cuts it.
Its side and centre follow from a detector's box by a measured framing, never by a guessed margin
(`python -m training framing`).
"""

from dataclasses import dataclass
from math import cos, sin

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.card import FACE_SIZE

RgbImage = npt.NDArray[np.uint8]
"""An upright image, uint8 [height, width, 3], RGB."""

FaceCrop = npt.NDArray[np.uint8]
"""A face in the canonical frame, uint8 [112, 112, 3], RGB."""

Boxes = npt.NDArray[np.float32]
"""Boxes, float32 [n, 4], x1 y1 x2 y2 in pixels of the source image."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How the canonical square sits on a detector's box, in units of the box's longer side.

    The square's side is `scale` times that side; its centre is the box's centre moved by (`dx`, `dy`).

    Attributes:
        points: x y of a level face's five landmarks in the canonical square, in units of its side from its
            upper left corner; None where the detector finds none.
    """

    scale: float
    dx: float
    dy: float
    points: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True, slots=True)
class Square:
    """A square in pixels of the source image; it may reach beyond its edges.

    Attributes:
        left: of its left edge, before it is turned.
        top: of its top edge, before it is turned.
        side: > 0.
        tilt: radians that it is turned by about its centre, clockwise for the viewer.
    """

    left: float
    top: float
    side: float
    tilt: float = 0.0

    @classmethod
    def around(cls, centre: tuple[float, float], side: float, tilt: float = 0.0) -> "Square":
        """Return the square of this centre."""
        return cls(centre[0] - side / 2, centre[1] - side / 2, side, tilt)

    @property
    def centre(self) -> tuple[float, float]:
        """Return x and y."""
        return self.left + self.side / 2, self.top + self.side / 2


def canonical_square(box: npt.NDArray[np.float32], framing: Framing) -> Square:
    """Return the canonical square of one detector box.

    Args:
        box: float32 [4], x1 y1 x2 y2 in source pixels.
        framing: the detector's own.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    longer_side = max(x2 - x1, y2 - y1)
    centre = (x1 + x2) / 2 + framing.dx * longer_side, (y1 + y2) / 2 + framing.dy * longer_side
    return Square.around(centre, framing.scale * longer_side)


def crop_face(image: RgbImage, square: Square) -> FaceCrop:
    """Resample a square of the image to 112 x 112 pixels, upright in it.

    A face larger than that is averaged down first (no aliasing), a smaller one is enlarged linearly;
    what lies beyond the image repeats its edge.

    Args:
        image: uint8 [height, width, 3], RGB, upright.
        square: in pixels of `image`.

    Returns:
        uint8 [112, 112, 3], RGB.
    """
    if square.side > FACE_SIZE:
        image, square = _averaged_down(image, square)
    step = square.side / FACE_SIZE
    across, down = step * cos(square.tilt), step * sin(square.tilt)
    middle = (FACE_SIZE - 1) / 2
    # cv2 puts pixel centres at integers: the crop's middle shows the square's centre, half a pixel less
    centre_x, centre_y = square.centre
    matrix = np.array(
        [
            [across, -down, centre_x - 0.5 - (across - down) * middle],
            [down, across, centre_y - 0.5 - (down + across) * middle],
        ],
        dtype=np.float64,
    )
    crop = cv2.warpAffine(
        image,
        matrix,
        (FACE_SIZE, FACE_SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(crop, dtype=np.uint8)


def _averaged_down(image: RgbImage, square: Square) -> tuple[RgbImage, Square]:
    """Cut out the square's surroundings and shrink them so that its side is about 112 pixels."""
    height, width = image.shape[:2]
    centre_x, centre_y = square.centre
    reach = square.side / 2 * (abs(cos(square.tilt)) + abs(sin(square.tilt)))
    x1 = int(np.clip(np.floor(centre_x - reach), 0, width - 1))
    y1 = int(np.clip(np.floor(centre_y - reach), 0, height - 1))
    x2 = int(np.clip(np.ceil(centre_x + reach), x1 + 1, width))
    y2 = int(np.clip(np.ceil(centre_y + reach), y1 + 1, height))
    factor = FACE_SIZE / square.side
    new_width = max(1, round((x2 - x1) * factor))
    new_height = max(1, round((y2 - y1) * factor))
    shrunk = cv2.resize(image[y1:y2, x1:x2], (new_width, new_height), interpolation=cv2.INTER_AREA)
    scale_x, scale_y = new_width / (x2 - x1), new_height / (y2 - y1)
    # the two ratios differ by rounding only: the mean keeps the square a square
    side = square.side * (scale_x + scale_y) / 2
    centre = (centre_x - x1) * scale_x, (centre_y - y1) * scale_y
    return np.asarray(shrunk, dtype=np.uint8), Square.around(centre, side, square.tilt)


def crop_whole(image: RgbImage) -> FaceCrop:
    """Resize an already framed face (a FER2013 tile, a client's crop) to 112 x 112 pixels.

    Args:
        image: uint8 [height, width, 3], RGB; its centred square of the shorter side is taken.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    return crop_face(image, Square((width - side) / 2, (height - side) / 2, float(side)))

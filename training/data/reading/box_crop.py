"""Crop a picture by a box that a data set gives, framed as serving frames a face.

Knows no file format.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from fercore.vision.crop import FaceCrop, Framing, RgbImage, canonical_square, crop_face
from training.data.reading.images import Crop
from training.errors import TrainingError

BOX_COLUMNS = ("face_x", "face_y", "face_width", "face_height")


def crop_of_box(row: Mapping[str, str], place: str, scale: float) -> Crop:
    """Give a function that crops a picture by the box of its row, in source pixels.

    Args:
        row: has `BOX_COLUMNS`.
        place: names the row.
        scale: side of the crop in longer sides of the box.

    Raises:
        TrainingError: the box is not of numbers or has no area.
    """
    try:
        x, y, width, height = (float(row[name]) for name in BOX_COLUMNS)
    except ValueError as err:
        raise TrainingError(f"{place}: {', '.join(BOX_COLUMNS)} must be numbers ({err})") from err
    if not (width > 0 and height > 0 and np.isfinite([x, y, width, height]).all()):
        raise TrainingError(f"{place}: the face box {width:g}x{height:g} has no area")
    box = np.array([x, y, x + width, y + height], np.float32)
    return partial(_crop_box, box=box, scale=scale)


def _crop_box(
    image: RgbImage, *, box: np.ndarray[tuple[int], np.dtype[np.float32]], scale: float
) -> FaceCrop:
    return crop_face(image, canonical_square(box, Framing(scale, 0.0, 0.0)))

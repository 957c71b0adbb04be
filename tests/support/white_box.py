"""An image with one box, which is found at every scale where it is."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from fercore.vision.decode import decode, decode_reduced
from fercore.vision.detection import Detections, detect_in
from fercore.vision.image import DecodedImage
from tests.support.fakes import FixedDetector
from tests.support.jpegs import turned


def assert_boxes_agree(
    make: Callable[[Image.Image], bytes], size: tuple[int, int], orientation: int, longer_side_px: int
) -> None:
    """Decode a turned JPEG in full and reduced, and compare size and box within 3 pixels."""
    upright, box = with_white_box(*size)
    data = turned(make, upright, orientation)
    image, whole = decode_reduced(data, longer_side_px=longer_side_px), DecodedImage.in_full(decode(data))
    assert (image.width, image.height) == (whole.width, whole.height) == size
    assert np.abs(box_in(whole, longer_side_px=1000) - box).max() < 3
    # the same pixels are shown to a detector, whichever way they were averaged
    assert np.abs(box_in(image, longer_side_px) - box_in(whole, longer_side_px)).max() < 3


def with_white_box(width: int, height: int) -> tuple[Image.Image, np.ndarray]:
    """A dark image with one white box, and where it is."""
    box = np.array([width * 0.2, height * 0.3, width * 0.55, height * 0.7]).round()
    image = Image.new("RGB", (width, height), (20, 20, 20))
    ImageDraw.Draw(image).rectangle([*box[:2], *(box[2:] - 1)], (255, 255, 255))
    return image, box


def find_white_box(image: np.ndarray) -> Detections:
    """Find the box to fractions of a pixel, by its mean position and its area along either axis."""
    levels = (image.mean(axis=2) - 20) / 235
    box = np.empty(4, np.float32)
    for axis in (0, 1):
        profile = levels.max(axis=axis).clip(0)
        centre = (profile * (np.arange(len(profile)) + 0.5)).sum() / profile.sum()
        box[axis], box[axis + 2] = centre - profile.sum() / 2, centre + profile.sum() / 2
    return Detections(box[None], np.ones(1, np.float32))


def box_in(image: DecodedImage, longer_side_px: int) -> np.ndarray:
    detector = FixedDetector(find_white_box)
    return detect_in(detector, image, min_face_px=1, longer_side_px=longer_side_px).boxes[0]

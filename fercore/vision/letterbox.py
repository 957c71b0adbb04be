"""Letterbox: fit an image of any size and proportion into the input of a detector's graph.

The input has either a fixed size or sides that are multiples of the graph's largest stride.
"""

import cv2
import numpy as np
import numpy.typing as npt

from fercore.vision.crop import RgbImage

LARGEST_SIDE_PX = 2560
"""An open side grows no further: the memory that a graph takes grows with it."""


def letterbox(
    image: RgbImage, size: tuple[int | None, int | None], *, multiple: int = 32
) -> tuple[RgbImage, npt.NDArray[np.float32]]:
    """Scale an image down (never up) until it fits, and pad it with black to the right and below.

    Args:
        image: uint8 [height, width, 3].
        size: height and width of the input; None where a side is open.
        multiple: what open sides are rounded up to.

    Returns:
        The input, uint8 [input height, input width, 3], and float32 [2], by which x and y in the input
        are multiplied to be pixels of the image.
    """
    height, width = image.shape[:2]
    room = [LARGEST_SIDE_PX if side is None else side for side in size]
    scale = min(1.0, room[0] / height, room[1] / width)
    if scale < 1:
        scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, scaled, interpolation=cv2.INTER_AREA), np.uint8)
    used = image.shape[:2]
    sides = [
        -(-length // multiple) * multiple if side is None else side
        for length, side in zip(used, size, strict=True)
    ]
    canvas = np.zeros((*sides, 3), np.uint8)
    canvas[: used[0], : used[1]] = image
    return canvas, np.array([width / used[1], height / used[0]], np.float32)

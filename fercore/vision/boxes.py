"""Overlap of boxes and non-maximum suppression; boxes are x1 y1 x2 y2 in any unit."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Precision = TypeVar("Precision", np.float32, np.float64)


def iou(
    box: npt.NDArray[Precision], others: npt.NDArray[Precision], *, of_smaller: bool = False
) -> npt.NDArray[Precision]:
    """Return the intersection over union of a box with each of others.

    Args:
        box: float32 or float64 [4].
        others: of the same type, [n, 4].
        of_smaller: divide the intersection by the smaller of the two areas, not by their union.

    Returns:
        Of the same type, [n], in [0, 1]; 0 where both boxes are empty.
    """
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    area, areas = _area(box), _area(others)
    whole = np.minimum(area, areas) if of_smaller else area + areas - shared
    return np.asarray(shared / np.where(whole > 0, whole, 1))


def nms(
    boxes: npt.NDArray[Precision],
    scores: npt.NDArray[Precision],
    bound: float,
    *,
    of_smaller: bool = False,
) -> npt.NDArray[np.intp]:
    """Non-maximum suppression: drop each box whose IoU with a kept one of higher score is above a bound.

    Args:
        boxes: float32 or float64 [n, 4].
        scores: of the same type, [n].
        bound: in [0, 1].
        of_smaller: see `iou`.

    Returns:
        Indices of the boxes kept, highest score first; of equal scores the first given.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while len(left):
        strongest, left = left[0], left[1:]
        kept.append(strongest)
        left = left[iou(boxes[strongest], boxes[left], of_smaller=of_smaller) <= bound]
    return np.array(kept, np.intp)


def _area(boxes: npt.NDArray[Precision]) -> npt.NDArray[Precision]:
    return np.asarray(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1))

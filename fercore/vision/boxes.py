"""What detectors do with many overlapping boxes: measure the overlap, keep the strongest of each heap.

Knows no detector and no picture; boxes are x1 y1 x2 y2 in any unit.
"""

import numpy as np
import numpy.typing as npt

from fercore.vision.crop import Boxes


def overlaps(
    box: npt.NDArray[np.float32], others: Boxes, *, of_smaller: bool = False
) -> npt.NDArray[np.float32]:
    """Measure how much of a box each other shares.

    Args:
        box: float32 [4].
        others: float32 [n, 4].
        of_smaller: divide the shared area by the smaller of the two, not by their union.

    Returns:
        float32 [n] in [0, 1]: intersection over union (or over the smaller); 0 where both are empty.
    """
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    area, areas = _area(box), _area(others)
    whole = np.minimum(area, areas) if of_smaller else area + areas - shared
    return np.asarray(shared / np.where(whole > 0, whole, 1), np.float32)


def keep_strongest(
    boxes: Boxes, scores: npt.NDArray[np.float32], bound: float, *, of_smaller: bool = False
) -> npt.NDArray[np.intp]:
    """Non-maximum suppression: drop each box that shares more than `bound` with a stronger one kept.

    Args:
        boxes: float32 [n, 4].
        scores: float32 [n].
        bound: see `overlaps`.
        of_smaller: likewise.

    Returns:
        Places of the boxes kept, the strongest first; of equal ones the first given.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while len(left):
        strongest, left = left[0], left[1:]
        kept.append(strongest)
        left = left[overlaps(boxes[strongest], boxes[left], of_smaller=of_smaller) <= bound]
    return np.array(kept, np.intp)


def _area(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1), np.float32)

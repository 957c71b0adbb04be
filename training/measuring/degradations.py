"""Degrade faces step by step, to see from where on a model's answers cannot be trusted.

Knows no model and no data set.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.messages import FaceQuality

TRUSTED_SHARE = 0.75
"""A bound stands where accuracy falls to this share of what it is on the faces as they are."""

Tile = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One way to make a face worse.

    Attributes:
        steps: from mild to strong.
        apply: gives a tile, uint8 [h, h], made worse by a step.
        measure: what of the quality tells of it.
    """

    steps: Sequence[float]
    apply: Callable[[Tile, float], Tile]
    measure: Callable[[FaceQuality], float]


def shrink(tile: Tile, side: float) -> Tile:
    """Average a tile down to a side in pixels."""
    return np.asarray(cv2.resize(tile, (int(side), int(side)), interpolation=cv2.INTER_AREA), np.uint8)


def blur(tile: Tile, sigma: float) -> Tile:
    """Blur a tile by a Gaussian, in pixels of the tile."""
    return np.asarray(cv2.GaussianBlur(tile, (0, 0), sigma), np.uint8)


def darken(tile: Tile, gain: float) -> Tile:
    """Leave a share of the light."""
    return np.asarray(np.round(tile * gain), np.uint8)


def fade(tile: Tile, gain: float) -> Tile:
    """Leave a share of the distance from white, as haze does."""
    return 255 - darken(255 - tile, gain)


def overexpose(tile: Tile, gain: float) -> Tile:
    """Take more light than fits."""
    return np.asarray(np.minimum(tile.astype(np.float32) * gain, 255), np.uint8)


DEGRADATIONS: Mapping[str, Degradation] = {
    "size_px": Degradation((36, 24, 20, 16, 12), shrink, lambda quality: quality.size_px),
    "blur": Degradation((0.7, 1, 1.5, 2, 3), blur, lambda quality: quality.blur),
    "contrast (dark)": Degradation((0.5, 0.25, 0.12, 0.06), darken, lambda quality: quality.contrast),
    "contrast (pale)": Degradation((0.5, 0.25, 0.12, 0.06), fade, lambda quality: quality.contrast),
    "clipped": Degradation((1.5, 2, 3, 4), overexpose, lambda quality: quality.clipped),
}


def find_bound(measured: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """Give the value of a measure at which accuracy has fallen to 0.75 of its first value.

    Args:
        measured: the measure's median, from the faces as they are to the worst.
        accuracies: of the same.

    Returns:
        Between the two steps where it happens; None where it does not.
    """
    trusted = TRUSTED_SHARE * accuracies[0]
    for step in range(1, len(accuracies)):
        before, after = accuracies[step - 1], accuracies[step]
        if after < trusted:
            share = (before - trusted) / (before - after)
            return measured[step - 1] + share * (measured[step] - measured[step - 1])
    return None

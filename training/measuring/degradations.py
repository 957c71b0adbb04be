"""Degrade faces step by step, to find where a model's answers become unreliable."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.card import QualityBounds
from fercore.contracts.messages import FaceQuality

TRUSTED_SHARE = 0.75
"""A bound is where accuracy falls to this share of the accuracy on the original faces."""

Tile = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One way to make a face worse.

    Attributes:
        steps: from mild to strong.
        apply: gives a tile, uint8 [h, h], made worse by a step.
        measure: the measure of quality that it changes.
        bound: the field of `QualityBounds` that it sets.
    """

    steps: Sequence[float]
    apply: Callable[[Tile, float], Tile]
    measure: Callable[[FaceQuality], float]
    bound: str


def shrink(tile: Tile, side: float) -> Tile:
    """Average a tile down to a side in pixels."""
    return np.asarray(cv2.resize(tile, (int(side), int(side)), interpolation=cv2.INTER_AREA), np.uint8)


def blur(tile: Tile, sigma: float) -> Tile:
    """Blur a tile by a Gaussian, in pixels of the tile."""
    return np.asarray(cv2.GaussianBlur(tile, (0, 0), sigma), np.uint8)


def darken(tile: Tile, gain: float) -> Tile:
    """Multiply by a gain below 1."""
    return np.asarray(np.round(tile * gain), np.uint8)


def fade(tile: Tile, gain: float) -> Tile:
    """Multiply the distance from white by a gain below 1, as haze does."""
    return 255 - darken(255 - tile, gain)


def overexpose(tile: Tile, gain: float) -> Tile:
    """Multiply by a gain above 1 and clip."""
    return np.asarray(np.minimum(tile.astype(np.float32) * gain, 255), np.uint8)


DEGRADATIONS: Mapping[str, Degradation] = {
    "size_px": Degradation((36, 24, 20, 16, 12), shrink, attrgetter("size_px"), "min_size_px"),
    "blur": Degradation((0.7, 1, 1.5, 2, 3), blur, attrgetter("blur"), "max_blur"),
    "contrast (dark)": Degradation((0.5, 0.25, 0.12, 0.06), darken, attrgetter("contrast"), "min_contrast"),
    "contrast (pale)": Degradation((0.5, 0.25, 0.12, 0.06), fade, attrgetter("contrast"), "min_contrast"),
    "clipped": Degradation((1.5, 2, 3, 4), overexpose, attrgetter("clipped"), "max_clipped"),
}


def find_bound(measured: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """Find the value of a measure at which accuracy has fallen to 0.75 of its first value.

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


def choose_strictest(found: Iterable[tuple[str, float]]) -> QualityBounds:
    """Return the bounds of a card from those of several degradations, rounded to two significant digits.

    Of two for one field the stricter counts; a field without any keeps its default.
    """
    bounds: dict[str, float] = {}
    for field, value in found:
        strict = max if field.startswith("min_") else min
        bounds[field] = strict(bounds.get(field, value), value)
    return QualityBounds.model_validate({field: float(f"{value:.2g}") for field, value in bounds.items()})

"""Faces are made worse step by step, and the bound stands where accuracy has fallen."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fercore.vision.crop import crop_whole
from fercore.vision.quality import assess
from training.measuring.degradations import DEGRADATIONS, find_bound, overexpose

PORTRAIT = Path(__file__).parent.parent.parent / "docs" / "images" / "astronaut.jpg"
FACE = cv2.resize(cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE)[60:156, 174:270], (48, 48))


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_step_moves_the_measure_further_and_leaves_a_tile(name):
    degradation = DEGRADATIONS[name]
    measured = []
    for tile in (FACE, *(degradation.apply(FACE, step) for step in degradation.steps)):
        assert tile.dtype == np.uint8
        assert tile.shape[0] == tile.shape[1]
        crop = crop_whole(np.repeat(tile[:, :, None], 3, axis=2))
        measured.append(degradation.measure(assess(crop, size_px=len(tile), landmarks=None, points=None)))
    is_growing = name in {"blur", "clipped"}
    assert measured == sorted(measured, reverse=not is_growing)
    assert len(set(measured)) == len(measured)


def test_too_much_light_is_white():
    assert overexpose(np.uint8([[10, 100, 200]]), 2).tolist() == [[20, 200, 255]]


def test_the_bound_is_where_accuracy_has_fallen_to_three_quarters():
    assert find_bound([48, 24, 12], [0.8, 0.7, 0.5]) == pytest.approx(18)
    assert find_bound([0.1, 0.2, 0.3], [0.8, 0.5, 0.1]) == pytest.approx(0.1 + 0.1 * 2 / 3)


def test_there_is_no_bound_where_accuracy_holds():
    assert find_bound([0, 1, 2], [0.8, 0.7, 0.61]) is None

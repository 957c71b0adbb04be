"""Faces that a detector found: some of them, and the same in pixels of another image."""

import numpy as np
import pytest

from fercore.vision.detection import Detections

BOXES = np.array([[0, 1, 10, 21], [5, 5, 9, 8], [2, 2, 4, 4]], np.float32)
SCORES = np.array([0.9, 0.8, 0.7], np.float32)
POINTS = np.arange(30, dtype=np.float32).reshape(3, 5, 2)


@pytest.mark.parametrize("landmarks", [POINTS, None])
def test_those_selected_come_in_the_order_asked_for(landmarks):
    found = Detections(BOXES, SCORES, landmarks).select(np.array([2, 0]))
    assert len(found) == 2
    np.testing.assert_array_equal(found.boxes, BOXES[[2, 0]])
    np.testing.assert_array_equal(found.scores, SCORES[[2, 0]])
    if landmarks is None:
        assert found.landmarks is None
    else:
        np.testing.assert_array_equal(found.landmarks, POINTS[[2, 0]])


@pytest.mark.parametrize("landmarks", [POINTS, None])
def test_they_are_scaled_along_each_axis_and_then_shifted(landmarks):
    moved = Detections(BOXES, SCORES, landmarks).moved(
        np.array([2, 3], np.float32), np.array([-1, 4], np.float32)
    )
    np.testing.assert_array_equal(moved.boxes[0], [-1, 7, 19, 67])
    assert moved.boxes.dtype == np.float32
    if landmarks is None:
        assert moved.landmarks is None
    else:
        np.testing.assert_array_equal(moved.landmarks[0, 1], [2 * 2 - 1, 3 * 3 + 4])

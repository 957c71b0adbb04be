"""Overlap and non-maximum suppression, checked against the plain definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fercore.vision.boxes import iou, nms

corners = arrays(np.float32, st.tuples(st.integers(0, 6), st.just(4)), elements=st.integers(0, 20))


def plain_overlap(one: np.ndarray, other: np.ndarray, *, of_smaller: bool) -> float:
    cells = [
        {(x, y) for x in range(int(b[0]), int(b[2])) for y in range(int(b[1]), int(b[3]))}
        for b in (one, other)
    ]
    whole = min(len(cells[0]), len(cells[1])) if of_smaller else len(cells[0] | cells[1])
    return len(cells[0] & cells[1]) / whole if whole else 0.0


@settings(deadline=None)
@given(corners, st.booleans())
def test_iou_is_the_shared_part(boxes, of_smaller):
    for box in boxes:
        expected = [plain_overlap(box, other, of_smaller=of_smaller) for other in boxes]
        np.testing.assert_allclose(iou(box, boxes, of_smaller=of_smaller), expected, atol=1e-6)


@settings(deadline=None)
@given(corners, st.sampled_from([0.0, 0.3, 0.7]))
def test_nms_keeps_what_is_within_the_iou_bound_of_all_kept_and_drops_the_rest(boxes, bound):
    scores = np.linspace(0, 1, len(boxes), dtype=np.float32)
    kept = nms(boxes, scores, bound)
    assert list(scores[kept]) == sorted(scores[kept], reverse=True)
    for index, box in enumerate(boxes):
        stronger = kept[scores[kept] > scores[index]]
        is_dropped = bool((iou(box, boxes[stronger]) > bound).any())
        assert (index in kept) != is_dropped


def test_of_equal_boxes_the_first_is_kept():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10]], np.float32)
    np.testing.assert_array_equal(nms(boxes, np.full(3, 0.5, np.float32), 0.5), [0, 2])


@pytest.mark.parametrize(("of_smaller", "kept"), [(False, [0, 1]), (True, [0])])
def test_a_small_box_within_a_large_one_is_dropped_only_by_the_share_of_the_smaller(of_smaller, kept):
    boxes = np.array([[0, 0, 100, 100], [40, 40, 60, 60]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    np.testing.assert_array_equal(nms(boxes, scores, 0.5, of_smaller=of_smaller), kept)

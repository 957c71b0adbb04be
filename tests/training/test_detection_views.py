"""What is done to a view before a detector learns from it."""

import numpy as np
import pytest

from training.detection import views
from training.detection.views import COVERED_SHARE, Known

SIDE_PX = 96


def view_with_a_face(face_px: int, *, is_ignored: bool = False) -> Known:
    """Give a grey view, brighter in its middle, where the face is."""
    start, end = (SIDE_PX - face_px) // 2, (SIDE_PX + face_px) // 2
    image = np.full((SIDE_PX, SIDE_PX, 3), 60, np.uint8)
    image[start:end, start:end] = 180
    return Known(
        image,
        np.array([[start, start, end, end]], np.float32),
        np.full((1, 5, 2), np.nan, np.float32),
        np.array([is_ignored]),
    )


@pytest.fixture
def _in_the_same_light(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(views, "_relit", lambda image, random: image)


def covered_share(view: Known, *, seeds: int = 300) -> float:
    """Tell how often the face is changed."""
    seen = [views.disturb(view, np.random.default_rng(seed)) for seed in range(seeds)]
    return float(np.mean([(picture != view.image).any() for picture in seen]))


def test_a_network_sees_another_light_than_its_teacher():
    view = view_with_a_face(40)
    before = view.image.copy()
    seen = [views.disturb(view, np.random.default_rng(seed)) for seed in range(20)]
    np.testing.assert_array_equal(view.image, before)
    assert len({picture.tobytes() for picture in seen}) == 20
    assert np.std([picture.mean() for picture in seen]) > 5


@pytest.mark.usefixtures("_in_the_same_light")
def test_some_faces_are_covered_in_part():
    assert 0.6 * COVERED_SHARE < covered_share(view_with_a_face(40)) < 1.1 * COVERED_SHARE


@pytest.mark.usefixtures("_in_the_same_light")
def test_faces_that_are_small_or_count_neither_way_are_left_open():
    assert covered_share(view_with_a_face(14)) == 0
    assert covered_share(view_with_a_face(40, is_ignored=True)) == 0

"""A face is cropped level: its landmarks tell how it is turned."""

from math import cos, pi, radians, sin

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fercore.vision.align import aligned_square, similarity_square
from fercore.vision.crop import Framing, Square, canonical_square, crop_face
from tests.support.images import astronaut

POINTS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.75), (0.65, 0.75))
FRAMING = Framing(1.2, 0.05, -0.1, POINTS)
BOX = np.array([100, 120, 160, 220], np.float32)
sides = st.floats(5, 2000)
places = st.floats(-500, 5000)
tilts = st.floats(-pi + 0.01, pi - 0.01)


def in_image(square: Square, points: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Where points of a square, in units of its side, lie in the image."""
    offsets = (np.array(points) - 0.5) * square.side
    turn = np.array([[cos(square.tilt), -sin(square.tilt)], [sin(square.tilt), cos(square.tilt)]])
    return offsets @ turn.T + square.centre


@settings(deadline=None)
@given(left=places, top=places, side=sides, tilt=tilts)
def test_the_similarity_is_found_again(left, top, side, tilt):
    expected = Square(left, top, side, tilt)
    found = similarity_square(in_image(expected, POINTS).astype(np.float64), POINTS)
    assert found.centre == pytest.approx(expected.centre, abs=1e-6)
    assert (found.side, found.tilt) == pytest.approx((side, tilt), abs=1e-6)


@settings(deadline=None)
@given(noise=st.lists(st.floats(-8, 8), min_size=10, max_size=10), tilt=tilts)
def test_no_other_similarity_brings_the_landmarks_closer_to_their_places(noise, tilt):
    landmarks = in_image(Square(40, 50, 100, tilt), POINTS) + np.array(noise).reshape(5, 2)
    best = similarity_square(landmarks, POINTS)

    def distance(square: Square) -> float:
        return float(((in_image(square, POINTS) - landmarks) ** 2).sum())

    x, y = best.centre
    for other in (
        Square.around((x + 0.5, y), best.side, best.tilt),
        Square.around((x, y - 0.5), best.side, best.tilt),
        Square.around((x, y), best.side * 1.01, best.tilt),
        Square.around((x, y), best.side, best.tilt + 0.01),
    ):
        assert distance(best) <= distance(other) + 1e-9


@settings(deadline=None)
@given(tilt=tilts)
def test_the_face_is_level_and_in_the_middle_and_as_large_as_its_box_says(tilt):
    landmarks = in_image(Square(90, 100, 80, tilt), POINTS).astype(np.float32)
    level = canonical_square(BOX, FRAMING)
    turned = aligned_square(BOX, landmarks, FRAMING)
    assert turned.tilt == pytest.approx(tilt, abs=1e-4)
    assert turned.centre == pytest.approx((130, 140), abs=1e-3)
    assert turned.side == level.side


def test_without_landmarks_or_their_places_the_square_is_level():
    landmarks = in_image(Square(90, 100, 80, 0.5), POINTS).astype(np.float32)
    level = canonical_square(BOX, FRAMING)
    assert aligned_square(BOX, None, FRAMING) == level
    assert aligned_square(BOX, landmarks, Framing(1.2, 0.05, -0.1)) == level


def test_landmarks_that_fall_together_turn_nothing():
    assert aligned_square(BOX, np.full((5, 2), 7, np.float32), FRAMING) == canonical_square(BOX, FRAMING)


@pytest.mark.parametrize("side", [60, 112, 300])
@pytest.mark.parametrize("degrees", [-170, -90, -30, 20, 90, 135])
def test_a_turned_face_gives_the_crop_of_the_level_one(side, degrees):
    image = np.asarray(cv2.GaussianBlur(np.asarray(astronaut()), (0, 0), 3), np.uint8)
    middle = 224.0, 112.0
    matrix = cv2.getRotationMatrix2D((middle[0] - 0.5, middle[1] - 0.5), -degrees, 1.0)
    turned = cv2.warpAffine(image, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    level = crop_face(image, Square.around(middle, side))
    crop = crop_face(turned, Square.around(middle, side, radians(degrees)))
    inner = np.s_[14:98, 14:98]  # a corner may show what lies beyond the turned image
    assert np.abs(crop[inner].astype(float) - level[inner]).mean() < 3


def test_a_quarter_turn_is_exact():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    crop = crop_face(image, Square(0, 0, 112, pi / 2))
    np.testing.assert_array_equal(crop, np.rot90(image, 1))

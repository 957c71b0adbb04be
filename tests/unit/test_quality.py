"""How well a face can be seen: each measure follows what it is for, and a model's bounds judge it."""

from math import cos, radians, sin

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fercore.contracts.card import QualityBounds
from fercore.contracts.messages import FaceQuality
from fercore.vision.crop import Square, crop_face, crop_whole
from fercore.vision.quality import DEPTHS, assess, estimate_pose, measure_blur
from services.classifier.core import is_quality_low
from tests.support.fakes import QUALITY
from tests.support.images import astronaut

POINTS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.75), (0.65, 0.75))
FACE = crop_face(np.asarray(astronaut()), Square(174, 60, 104))
angles = st.floats(-60, 60)


def measure(crop: np.ndarray, size_px: float = 100) -> FaceQuality:
    return assess(crop, size_px=size_px, landmarks=None, points=None)


def projected(yaw: float, pitch: float, roll: float, side: float) -> np.ndarray:
    """The landmarks of a head that is turned: rolled last, x to the right, y down, z to the camera."""
    a, b, c = radians(yaw), radians(pitch), radians(roll)
    about_y = np.array([[cos(a), 0, sin(a)], [0, 1, 0], [-sin(a), 0, cos(a)]])
    about_x = np.array([[1, 0, 0], [0, cos(b), -sin(b)], [0, sin(b), cos(b)]])
    about_z = np.array([[cos(c), -sin(c), 0], [sin(c), cos(c), 0], [0, 0, 1]])
    head = np.column_stack([POINTS, np.array(DEPTHS) * 0.4]) * side
    return (head @ (about_z @ about_y @ about_x).T)[:, :2] + (300, 200)


@settings(deadline=None)
@given(yaw=angles, side=st.floats(10, 900))
def test_a_head_turned_aside_is_measured(yaw, side):
    pose = estimate_pose(projected(yaw, 0, 0, side), POINTS)
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, 0, 0), abs=0.11)


@settings(deadline=None)
@given(pitch=angles)
def test_a_head_turned_up_or_down_is_measured(pitch):
    pose = estimate_pose(projected(0, pitch, 0, 100), POINTS)
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((0, pitch, 0), abs=0.11)


@settings(deadline=None)
@given(roll=st.floats(-170, 170))
def test_a_tilted_head_is_measured(roll):
    pose = estimate_pose(projected(0, 0, roll, 100), POINTS)
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((0, 0, roll), abs=0.11)


@settings(deadline=None)
@given(places=st.lists(st.floats(-5000, 5000), min_size=10, max_size=10))
def test_no_landmarks_are_too_odd_for_a_pose(places):
    pose = estimate_pose(np.array(places, np.float32).reshape(5, 2), POINTS)
    if pose is not None:
        assert all(abs(angle) <= 180 for angle in (pose.yaw, pose.pitch, pose.roll))


def test_without_landmarks_or_their_places_there_is_no_pose():
    landmarks = projected(0, 0, 0, 100)
    assert assess(FACE, size_px=100, landmarks=landmarks, points=POINTS).pose is not None
    assert assess(FACE, size_px=100, landmarks=landmarks, points=None).pose is None
    assert assess(FACE, size_px=100, landmarks=None, points=POINTS).pose is None
    assert estimate_pose(np.full((5, 2), 9, np.float32), POINTS) is None


def test_blur_grows_as_a_face_is_blurred_and_does_not_follow_contrast():
    grey = np.asarray(cv2.cvtColor(FACE, cv2.COLOR_RGB2GRAY), np.uint8)
    blurred = [np.asarray(cv2.GaussianBlur(grey, (0, 0), s), np.uint8) for s in (1, 2, 4, 8)]
    blurs = [measure_blur(image) for image in (grey, *blurred)]
    assert blurs == sorted(blurs)
    assert 0 < blurs[0] < 0.6 < blurs[-1] < 1
    assert measure_blur(grey // 2 + 60) == pytest.approx(blurs[0], abs=0.03)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_face_is_all_blur_and_no_contrast(value):
    quality = measure(np.full((112, 112, 3), value, np.uint8))
    assert quality.blur == 1
    assert quality.contrast == pytest.approx(0, abs=1e-6)
    assert is_quality_low(quality, QualityBounds())
    assert quality.brightness == pytest.approx(value / 255, abs=0.01)
    assert quality.clipped == (value != 128)


def test_a_face_that_is_well_seen_is_not_low():
    quality = measure(FACE)
    assert not is_quality_low(quality, QualityBounds())
    assert quality.size_px == 100
    assert 0.3 < quality.brightness < 0.7
    assert quality.contrast > 0.1


def shrunk(crop: np.ndarray) -> np.ndarray:
    return crop_whole(np.asarray(cv2.resize(crop, (9, 9), interpolation=cv2.INTER_AREA), np.uint8))


@pytest.mark.parametrize(
    ("how", "worse"),
    [
        ("blurred", lambda crop: cv2.GaussianBlur(crop, (0, 0), 6)),
        ("shrunk", shrunk),
        ("dark", lambda crop: crop // 20),
        ("pale", lambda crop: 255 - (255 - crop) // 20),
        ("overexposed", lambda crop: np.clip(crop.astype(int) * 5, 0, 255).astype(np.uint8)),
    ],
)
def test_a_face_that_is_badly_seen_is_low(how, worse):
    assert is_quality_low(measure(worse(FACE)), QualityBounds())


def test_a_face_of_few_pixels_is_low_however_clear_it_is():
    assert is_quality_low(measure(FACE, size_px=12), QualityBounds())
    assert not is_quality_low(measure(FACE, size_px=30), QualityBounds())


@pytest.mark.parametrize(
    ("measured", "bound"),
    [
        ({"size_px": 40}, {"min_size_px": 41}),
        ({"blur": 0.5}, {"max_blur": 0.499}),
        ({"contrast": 0.1}, {"min_contrast": 0.101}),
        ({"clipped": 0.2}, {"max_clipped": 0.199}),
    ],
)
def test_each_bound_is_the_models_own_and_a_face_on_it_is_not_beyond(measured, bound):
    quality = replace(QUALITY, **measured)
    assert is_quality_low(quality, QualityBounds(**bound))
    on_it = QualityBounds(**dict(zip(bound, measured.values(), strict=True)))
    assert not is_quality_low(quality, on_it)

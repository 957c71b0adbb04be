"""The cascade detector, through the seam, on real and degenerate images."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from fercore.vision.crop import RgbImage
from fercore.vision.detection import Detector, detect_in
from fercore.vision.image import DecodedImage
from services.detector.detectors import haar

DEFAULT_MIN_SCORE = 0.5
FACE = (175, 65, 275, 165)
"""Where the astronaut's face is, x1 y1 x2 y2, by eye."""


@pytest.fixture(scope="module")
def astronaut() -> RgbImage:
    return np.asarray(skimage.data.astronaut(), dtype=np.uint8)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return haar.create(Path("nowhere"))


def faces_in(detector: Detector, image: RgbImage, min_face_px: int = 24) -> np.ndarray:
    found = detector.detect(image, min_face_px=min_face_px)
    assert found.boxes.dtype == np.float32
    assert found.scores.dtype == np.float32
    assert found.boxes.shape == (len(found.scores), 4)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    return found.boxes[found.scores >= DEFAULT_MIN_SCORE]


def test_the_one_face_of_a_portrait_is_found(detector, astronaut):
    (box,) = faces_in(detector, astronaut)
    assert np.abs(box - FACE).max() < 15


def test_boxes_of_a_large_image_are_in_its_own_pixels(detector, astronaut):
    large = astronaut.repeat(3, axis=0).repeat(3, axis=1)
    (box,) = faces_in(detector, large)
    assert np.abs(box / 3 - FACE).max() < 15


@pytest.mark.parametrize(("longer_side_px", "faces"), [(640, 0), (1280, 1)])
def test_a_small_face_is_found_where_more_pixels_are_shown(detector, astronaut, longer_side_px, faces):
    image = np.full((960, 1280, 3), 128, np.uint8)
    image[300:520, 400:620] = cv2.resize(astronaut, (220, 220), interpolation=cv2.INTER_AREA)
    whole = DecodedImage.in_full(image)
    found = detect_in(detector, whole, min_face_px=10, longer_side_px=longer_side_px)
    boxes = found.boxes[found.scores >= DEFAULT_MIN_SCORE]
    assert len(boxes) == faces
    assert (np.abs(boxes - [400, 300, 400, 300] - np.array(FACE) * 220 / 512) < 8).all()


@pytest.mark.parametrize("cut_px", [8, 12, 15])
def test_a_face_that_fills_the_image_is_found_beyond_its_edges(detector, astronaut, cut_px):
    x1, y1, x2, y2 = FACE
    close_up = astronaut[y1 + cut_px : y2 - cut_px, x1 + cut_px : x2 - cut_px]
    (box,) = faces_in(detector, close_up)
    assert box[:2].max() < 0
    assert np.abs(box + [x1 + cut_px, y1 + cut_px] * 2 - FACE).max() < 15


def test_a_face_below_the_smallest_wanted_size_is_left_out(detector, astronaut):
    assert len(faces_in(detector, astronaut, min_face_px=200)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (29, 29), (30, 30), (31, 4000)])
def test_images_of_any_shape_are_taken(detector, shape):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert len(faces_in(detector, noise, min_face_px=1)) == 0


def test_an_image_that_is_no_contiguous_array_is_taken(detector, astronaut):
    assert len(faces_in(detector, astronaut[:, ::-1])) == 1


def test_threads_sharing_a_detector_get_the_same_answer(detector, astronaut):
    images = [astronaut[60:180, 160 : 260 + 20 * width] for width in range(6)]
    expected = [detector.detect(image, min_face_px=24) for image in images]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda image: detector.detect(image, min_face_px=24), images * 20))
    for answer, wanted in zip(answers, expected * 20, strict=True):
        np.testing.assert_array_equal(answer.boxes, wanted.boxes)
        np.testing.assert_array_equal(answer.scores, wanted.scores)


def test_windows_on_one_face_become_one_box_and_their_evidence_adds_up():
    windows = np.array([[10, 10, 50, 50], [12, 10, 52, 50], [100, 100, 140, 140]], np.float64)
    boxes, evidence = haar.merge(windows, np.array([1.0, 2.0, 0.5]))
    np.testing.assert_allclose(boxes, [[11, 10, 51, 50], [100, 100, 140, 140]])
    np.testing.assert_allclose(evidence, [3.0, 0.5])


def test_a_weak_box_inside_a_strong_one_is_dropped():
    windows = np.array([[0, 0, 100, 100], [30, 30, 60, 60]], np.float64)
    boxes, _ = haar.merge(windows, np.array([2.0, 1.0]))
    np.testing.assert_allclose(boxes, [[0, 0, 100, 100]])

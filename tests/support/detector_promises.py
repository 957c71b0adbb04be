"""What every detector promises of odd images and of threads, checked wherever there are weights for it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fercore.vision.crop import RgbImage
from fercore.vision.detection import Detections, Detector

ODD_IMAGES = {
    "1x1": np.zeros((1, 1, 3), np.uint8),
    "1x5000": np.zeros((1, 5000, 3), np.uint8),
    "5000x1": np.full((5000, 1, 3), 255, np.uint8),
    "black": np.zeros((480, 640, 3), np.uint8),
    "white": np.full((480, 640, 3), 255, np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8),
    "7x9": np.full((9, 7, 3), 100, np.uint8),
}


def assert_well_formed(found: Detections) -> None:
    """Hold an answer to the shapes, types and ranges of `Detections`."""
    n = len(found.boxes)
    assert found.boxes.shape == (n, 4)
    assert found.boxes.dtype == np.float32
    assert found.scores.shape == (n,)
    assert found.scores.dtype == np.float32
    assert np.isfinite(found.boxes).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    if found.landmarks is not None:
        assert found.landmarks.shape == (n, 5, 2)


def assert_sees_no_face(detector: Detector, image: RgbImage) -> None:
    """Show an image without a face; boxes that nobody would be given are no fault."""
    found = detector.detect(image, min_face_px=1)
    assert_well_formed(found)
    assert not (found.scores >= 0.5).any()


def assert_same_in_threads(detector: Detector, image: RgbImage) -> None:
    """Show one image with a face in several threads at once."""
    expected = detector.detect(image, min_face_px=24)
    assert len(expected.boxes)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: detector.detect(image, min_face_px=24), range(8)))
    for answer in answers:
        np.testing.assert_array_equal(answer.boxes, expected.boxes)
        np.testing.assert_array_equal(answer.scores, expected.scores)

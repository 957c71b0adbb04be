"""Ways to frame a face are compared on the same faces."""

import numpy as np
import pytest

from fercore.vision.crop import Framing, crop_whole
from fercore.vision.detection import Detections
from training.errors import TrainingError
from training.measuring.alignment import WAYS, crop_located, locate

POINTS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.75), (0.65, 0.75))


class _QuarterTurned:
    """Finds in coloured images one sure face, turned clockwise by a quarter, and an unsure one."""

    framing = Framing(1.0, 0.0, 0.0, POINTS)

    def detect(self, image: np.ndarray, *, min_face_px: int) -> Detections:
        if image.max() == 0:
            return Detections.none()
        boxes = np.array([[0, 0, 5, 5], [10, 20, 50, 60]], np.float32)
        turned = [(10 + 40 * (1 - y), 20 + 40 * x) for x, y in POINTS]
        landmarks = np.stack([np.zeros((5, 2)), turned]).astype(np.float32)
        return Detections(boxes, np.array([0.3, 0.8], np.float32), landmarks)


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    images = [
        np.zeros((80, 80, 3), np.uint8),
        *(random.integers(1, 256, (80, 80, 3), dtype=np.uint8) for _ in range(2)),
    ]
    return [lambda image=image: image for image in images]


def test_the_primary_face_of_each_image_is_located(images):
    located = locate(images, _QuarterTurned(), min_score=0.5, min_face_px=1)
    assert located.places.tolist() == [1, 2]
    assert located.boxes.tolist() == [[10, 20, 50, 60]] * 2


def test_no_face_in_any_image_is_said(images):
    with pytest.raises(TrainingError, match="no face"):
        locate(images, _QuarterTurned(), min_score=0.9, min_face_px=1)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_frames_the_face_and_all_but_the_box_make_it_level(images, way):
    detector = _QuarterTurned()
    located = locate(images, detector, min_score=0.5, min_face_px=1)
    crops = crop_located(images, located, WAYS[way], detector.framing)
    stored = images[2]()[20:60, 10:50]
    expected = crop_whole(stored if way == "box" else np.rot90(stored))
    inner = np.s_[5:-5, 5:-5]  # at its edge the one sees its surroundings, the other repeats itself
    assert np.abs(crops[1][inner].astype(float) - expected[inner]).mean() < 2


def test_enlarged_squares_show_more(images):
    detector = _QuarterTurned()
    located = locate(images, detector, min_score=0.5, min_face_px=1)
    crops = crop_located(images, located, WAYS["box"], detector.framing, enlarged=1.5)
    expected = crop_whole(images[1]()[10:70, 0:60])
    assert np.abs(crops[0][5:-5, 5:-5].astype(float) - expected[5:-5, 5:-5]).mean() < 2

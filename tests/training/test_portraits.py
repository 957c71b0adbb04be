"""Whole pictures through detector, framing and crop."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fercore.vision.crop import Framing, crop_whole
from fercore.vision.detection import Detections
from training.errors import TrainingError
from training.portraits import answer_among_four, find_portraits


class _UpperLeftQuarter:
    """Finds a dark picture's upper left quarter, surely, and all of it, less surely; in bright ones none."""

    framing = Framing(1.0, 0.0, 0.0)

    def detect(self, image: np.ndarray, *, min_face_px: int) -> Detections:
        height, width = image.shape[:2]
        if image.mean() > 128:
            return Detections.none()
        boxes = [[0, 0, width, height], [0, 0, width / 2, height / 2]]
        return Detections(np.array(boxes, np.float32), np.array([0.6, 0.9], np.float32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "portraits_4class" / "images"
    images.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, low in (("a.png", 0), ("b.png", 200), ("c.png", 0)):
        cv2.imwrite(str(images / name), random.integers(low, low + 50, (64, 64, 3), dtype=np.uint8))
    (images.parent / "labels.csv").write_text("file,emotion\na.png,angry\nb.png,sad\nc.png,happy\n")
    return tmp_path


def test_the_likeliest_face_of_each_picture_is_cropped_as_in_serving(folder: Path):
    found = find_portraits(folder, _UpperLeftQuarter(), min_face_px=1, min_score=0.5)
    assert found.labels.tolist() == [4, 1]
    assert found.missed == (3,)
    image = cv2.cvtColor(cv2.imread(str(folder / "portraits_4class/images/c.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(found.crops[1][:90, :90], crop_whole(image[:32, :32])[:90, :90])


def test_unsure_faces_do_not_count(folder: Path):
    with pytest.raises(TrainingError, match="no face"):
        find_portraits(folder, _UpperLeftQuarter(), min_face_px=1, min_score=0.95)


def test_a_missing_folder_and_an_unknown_emotion_are_named(folder: Path):
    with pytest.raises(TrainingError, match=r"labels\.csv"):
        find_portraits(folder / "none", _UpperLeftQuarter(), min_face_px=1, min_score=0.5)
    (folder / "portraits_4class" / "labels.csv").write_text("file,emotion\na.png,bored\n")
    with pytest.raises(TrainingError, match="bored"):
        find_portraits(folder, _UpperLeftQuarter(), min_face_px=1, min_score=0.5)


def test_answers_are_chosen_among_the_four_that_are_shown():
    logits = np.array([[0, 1, 9, 2, 3, 9, 9, 9], [4, 1, 9, 2, 3, 9, 9, 9]], np.float32)
    assert answer_among_four(logits).tolist() == [4, 0]

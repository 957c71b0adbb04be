"""YuNet through ONNX Runtime answers as OpenCV's own `FaceDetectorYN` does."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from fercore.vision.decode import decode
from fercore.vision.detection import Detector
from services.detector.detectors import yunet
from tests.support.images import astronaut
from tests.support.requires import data_folder

SIDE_PX = 640


def weights(size: str) -> Path:
    return data_folder("weights") / f"libfacedetection.train__yunet_n_{size}.onnx"


def create(size: str, folder: Path) -> Detector:
    target = folder / yunet.WEIGHTS[0]
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(weights(size).read_bytes())
    return yunet.create(folder)


def images() -> Iterator[np.ndarray]:
    """The portrait and the photographs of the data sets, as large as a detector sees them when serving."""
    yield np.asarray(astronaut())
    for file in sorted(data_folder("photos").iterdir()):
        image = decode(file.read_bytes())
        scale = min(1, SIDE_PX / max(image.shape[:2]))
        yield cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


@cache
def reference() -> cv2.FaceDetectorYN:
    return cv2.FaceDetectorYN.create(str(weights("640_640")), "", (SIDE_PX, SIDE_PX), 0.5, 0.3)


def by_opencv(image: np.ndarray) -> np.ndarray:
    """Rows of x, y, width, height, ten numbers of landmarks, score; the strongest first."""
    reference().setInputSize(image.shape[1::-1])
    _, rows = reference().detect(np.ascontiguousarray(image[:, :, ::-1]))
    return np.zeros((0, 15)) if rows is None else rows[np.argsort(-rows[:, 14], kind="stable")]


def assert_same(found, rows: np.ndarray) -> None:
    likely = found.scores >= 0.5
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    np.testing.assert_allclose(found.boxes[likely], boxes, atol=1)
    np.testing.assert_allclose(found.landmarks[likely], rows[:, 4:14].reshape(-1, 5, 2), atol=1)
    np.testing.assert_allclose(found.scores[likely], rows[:, 14], atol=1e-3)


def test_the_graph_with_an_open_input_gives_the_same_faces(tmp_path):
    detector = create("dynamic", tmp_path)
    faces = 0
    for image in images():
        rows = by_opencv(image)
        assert_same(detector.detect(image, min_face_px=1), rows)
        faces += len(rows)
    assert faces > 50


def test_the_graph_with_a_fixed_input_gives_the_same_faces_on_its_canvas(tmp_path):
    detector = create("640_640", tmp_path)
    for image in images():
        canvas = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
        canvas[: image.shape[0], : image.shape[1]] = image
        assert_same(detector.detect(image, min_face_px=1), by_opencv(canvas))


@pytest.mark.parametrize("size", ["dynamic", "320_320", "640_640"])
def test_faces_of_a_larger_image_are_told_in_its_own_pixels(size, tmp_path):
    image = np.asarray(astronaut().resize((1536, 1536)))
    found = create(size, tmp_path).detect(image, min_face_px=1)
    best = found.scores.argmax()  # as good as the network is with a face a fifth as high as its canvas
    assert np.abs(found.boxes[best] / 3 - (178, 65, 269, 176)).max() < 15
    assert np.abs(found.landmarks[best, 0] / 3 - (203, 104)).max() < 10

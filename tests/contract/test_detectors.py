"""Every detector plug-in that is found keeps the promises of `fercore.vision.detection.Detector`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.defaults import DEFAULT_DETECTOR
from fercore.contracts.errors import NotReady
from fercore.plugins import load_plugin, plugin_names
from fercore.service.metrics import Metrics
from fercore.vision.align import aligned_square
from fercore.vision.crop import Framing, canonical_square
from fercore.vision.detection import Detector
from services.detector import detectors
from services.detector.core import DetectorCore
from tests.support.detector_promises import (
    ODD_IMAGES,
    assert_same_in_threads,
    assert_sees_no_face,
    assert_well_formed,
)
from tests.support.images import astronaut, encoded, portrait_jpeg
from tests.support.options import default_options
from tests.support.requires import ROOT
from tests.support.weights import repository_with

NAMES = plugin_names(detectors)
ANOTHER_GRAPH = ROOT / "tests/model_repository/emotion_tiny/1/model.onnx"


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def repository(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights that the plug-in names; without them its tests are skipped by the name of the file."""
    return repository_with(weights_of(name), tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def detector(name: str, repository: Path) -> Detector:
    return load_plugin(detectors, name).create(repository)


def weights_of(name: str) -> tuple[str, ...]:
    return getattr(load_plugin(detectors, name), "WEIGHTS", ())


def test_there_is_a_default():
    assert DEFAULT_DETECTOR in NAMES


def test_it_finds_the_face_of_the_portrait(detector):
    found = detector.detect(np.asarray(astronaut()), min_face_px=24)
    assert_well_formed(found)
    likely = found.boxes[found.scores >= 0.5]
    assert len(likely) == 1
    x1, y1, x2, y2 = likely[0]
    assert x1 < 224 < x2
    assert y1 < 115 < y2


@pytest.mark.parametrize("image", ODD_IMAGES)
def test_odd_images_have_no_face_and_do_no_harm(detector, image):
    assert_sees_no_face(detector, ODD_IMAGES[image])


def test_it_gives_the_same_answer_in_many_threads_at_once(detector):
    assert_same_in_threads(detector, np.asarray(astronaut()))


def test_its_framing_is_a_measured_one(detector):
    framing = detector.framing
    assert isinstance(framing, Framing)
    assert 0.5 < framing.scale < 2
    assert abs(framing.dx) < 0.2
    assert abs(framing.dy) < 0.5
    found = detector.detect(np.asarray(astronaut()), min_face_px=24)
    square = canonical_square(found.boxes[found.scores.argmax()], framing)
    # the canonical frame holds eyes and mouth of the portrait (measured by eye)
    for x, y in ((204, 103), (245, 103), (224, 150)):
        assert square.left < x < square.left + square.side
        assert square.top < y < square.top + square.side


def test_the_core_crops_what_it_finds(name, repository):
    core = DetectorCore(detectors, model_repository=repository, threads=1, metrics=Metrics())
    found = core.analyze(portrait_jpeg(), default_options(name))
    assert found.crops.shape == (1, 112, 112, 3)
    assert found.crops.std() > 20
    tiny = core.analyze(encoded(astronaut().resize((8, 8))), default_options(name))
    assert tiny.faces == ()
    assert tiny.crops.shape == (0, 112, 112, 3)
    core.close()


def test_its_landmarks_are_told_as_the_viewer_sees_them(detector):
    found = detector.detect(np.asarray(astronaut()), min_face_px=24)
    if found.landmarks is None:
        return
    # by eye: left eye, right eye, nose, left and right mouth corner
    expected = [(204, 103), (247, 104), (224, 129), (203, 142), (243, 142)]
    assert np.abs(found.landmarks[found.scores.argmax()] - expected).max() < 8


def test_it_says_where_its_landmarks_lie_in_the_canonical_frame(detector):
    found = detector.detect(np.asarray(astronaut()), min_face_px=24)
    landmarks = found.landmarks_of(found.scores.argmax())
    if landmarks is None:
        assert detector.framing.points is None
        return
    assert detector.framing.points is not None
    square = canonical_square(found.boxes[found.scores.argmax()], detector.framing)
    places = (landmarks - (square.left, square.top)) / square.side
    assert np.abs(places - detector.framing.points).max() < 0.12
    aligned = aligned_square(found.boxes[found.scores.argmax()], landmarks, detector.framing)
    assert abs(aligned.tilt) < 0.06  # her head is level


@pytest.fixture
def make_core(tmp_path: Path) -> Iterator[Callable[[], DetectorCore]]:
    cores: list[DetectorCore] = []

    def make() -> DetectorCore:
        cores.append(DetectorCore(detectors, model_repository=tmp_path, threads=1, metrics=Metrics()))
        return cores[0]

    yield make
    cores[0].close()


@pytest.mark.parametrize("name", [name for name in NAMES if weights_of(name)])
def test_without_its_weights_it_is_not_offered_and_says_what_is_missing(name, make_core):
    core = make_core()
    assert name not in core.names
    with pytest.raises(NotReady) as fault:
        core.load(name)
    assert f"{name!r} cannot be loaded: {weights_of(name)[0]} is missing: " in fault.value.detail


@pytest.mark.parametrize("name", [name for name in NAMES if weights_of(name)])
@pytest.mark.parametrize(
    "content", [ANOTHER_GRAPH.read_bytes(), b"", b"<html>"], ids=["graph", "empty", "html"]
)
def test_with_other_weights_it_says_which_file_is_wrong(name, content, make_core, tmp_path):
    for file in weights_of(name):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    with pytest.raises(NotReady) as fault:
        make_core().load(name)
    assert f"{name!r} cannot be loaded: {weights_of(name)[0]} " in fault.value.detail
    assert str(tmp_path) not in fault.value.detail
    assert "\n" not in fault.value.detail

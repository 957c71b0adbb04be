"""What the detector keeps of what a plug-in finds, and what a broken plug-in does."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from fercore.contracts.errors import InternalError, InvalidImage, NotReady, UnknownDetector
from fercore.contracts.messages import DetectOptions
from fercore.service.metrics import Metrics
from fercore.vision.detection import Detections
from services.detector.core import DetectorCore
from tests.support.fakes import FixedDetector, plugin_package
from tests.support.images import astronaut, encoded, no_face_jpeg, on_canvas

SOURCE = "def create(model_repository):\n    return model_repository\n"


@pytest.fixture
def make_core(tmp_path, monkeypatch, request):
    """Give a core whose detector `fixed` finds given boxes; other plug-ins are broken in their ways."""
    monkeypatch.syspath_prepend(tmp_path)
    package = plugin_package(
        tmp_path,
        f"plugins_{abs(hash(request.node.name))}",
        fixed=SOURCE,
        needy="import a_library_that_is_not_there\n",
        weightless="def create(model_repository):\n    raise FileNotFoundError('no weights')\n",
        careless="def create(model_repository):\n    open('/some/where/weights.onnx')\n",
        empty="",
    )

    def make(find) -> DetectorCore:
        found: Any = FixedDetector(find)  # the plug-in gives back what it is handed
        return DetectorCore(package, model_repository=found, threads=1, metrics=Metrics())

    return make


def options(detector: str = "fixed", **changes: Any) -> DetectOptions:
    values: dict[str, Any] = {"max_faces": 10, "min_face_px": 1, "min_score": 0.0}
    return DetectOptions(detector=detector, **values | changes)


def found(*boxes: tuple[float, ...], scores: list[float] | None = None, landmarks=None):
    boxes_array = np.array(boxes, np.float32).reshape(-1, 4)
    score_array = np.array(scores or [0.9] * len(boxes), np.float32)
    return lambda _: Detections(boxes_array, score_array, landmarks)


def test_faces_come_largest_first_and_ties_from_left_to_right(make_core):
    core = make_core(found((50, 0, 60, 10), (0, 0, 30, 30), (10, 50, 20, 60), (30, 20, 40, 30)))
    faces = core.analyze(no_face_jpeg(), options()).faces
    assert [face.box[0] for face in faces] == [0, 10, 30, 50]


def test_boxes_are_clipped_and_those_outside_are_left_out(make_core):
    core = make_core(found((-10, -10, 20, 20), (400, 10, 500, 60), (310, 230, 360, 300)))
    faces = core.analyze(no_face_jpeg(), options()).faces
    assert [face.box for face in faces] == [(0, 0, 20, 20), (310, 230, 10, 10)]


def test_small_faces_low_scores_and_too_many_are_left_out(make_core):
    core = make_core(found((0, 0, 20, 20), (0, 0, 40, 40), (0, 0, 60, 60), scores=[0.9, 0.8, 0.3]))
    image = no_face_jpeg()
    assert len(core.analyze(image, options(min_face_px=30)).faces) == 2
    assert len(core.analyze(image, options(min_score=0.5)).faces) == 2
    (largest,) = core.analyze(image, options(max_faces=1)).faces
    assert largest.box == (0, 0, 60, 60)


def test_landmarks_go_with_their_face(make_core):
    landmarks = np.arange(20, dtype=np.float32).reshape(2, 5, 2)
    core = make_core(found((0, 0, 20, 20), (0, 0, 40, 40), landmarks=landmarks))
    first, second = core.analyze(no_face_jpeg(), options()).faces
    assert first.landmarks[0] == (10, 11)
    assert second.landmarks[4] == (8, 9)


def test_each_crop_shows_its_own_face(make_core):
    grey = Image.new("RGB", (200, 100), (128, 128, 128))
    grey.paste((250, 0, 0), (0, 0, 60, 60))
    grey.paste((0, 0, 250), (100, 0, 140, 40))
    core = make_core(found((100, 0, 140, 40), (0, 0, 60, 60)))
    red, blue = core.analyze(encoded(grey, "PNG"), options()).crops
    assert tuple(red[56, 56]) == (250, 0, 0)
    assert tuple(blue[56, 56]) == (0, 0, 250)


def test_each_face_tells_how_well_it_is_seen(make_core):
    portrait = on_canvas(astronaut(), (640, 512), [(0, 0)])
    core = make_core(found((174, 60, 278, 164), (550, 100, 630, 180)))
    face, flat = core.analyze(encoded(portrait), options()).faces
    assert (face.quality.size_px, flat.quality.size_px) == (104, 80)
    assert face.quality.contrast > 0.1
    assert flat.quality.contrast == pytest.approx(0, abs=1e-6)


def test_a_plugin_that_fails_is_an_internal_error_without_details(make_core, caplog):
    def fail(_):
        raise ZeroDivisionError("secret")

    with pytest.raises(InternalError) as fault:
        make_core(fail).analyze(no_face_jpeg(), options())
    assert "secret" not in fault.value.detail
    assert "a detector failed" in caplog.text


@pytest.mark.parametrize(
    ("name", "reason"),
    [("needy", "a_library_that_is_not_there"), ("weightless", "no weights"), ("empty", "create")],
)
def test_a_plugin_that_cannot_be_loaded_fails_when_it_is_selected_and_says_why(
    make_core, caplog, name, reason
):
    with pytest.raises(NotReady) as fault:
        make_core(found()).analyze(no_face_jpeg(), options(name))
    assert reason in caplog.records[-1].reason
    assert reason in fault.value.detail
    assert "\n" not in fault.value.detail


def test_the_folders_of_the_machine_are_not_told(make_core, caplog):
    with pytest.raises(NotReady) as fault:
        make_core(found()).load("careless")
    assert fault.value.detail.endswith(": [Errno 2] No such file or directory: 'weights.onnx'")
    assert "/some/where/weights.onnx" in caplog.records[-1].reason


def test_an_unknown_plugin_is_answered_with_those_there_are(make_core):
    with pytest.raises(UnknownDetector, match=r"offered: careless, empty, fixed, weightless;"):
        make_core(found()).load("../secret")


def test_what_cannot_be_imported_or_lacks_its_weights_is_not_offered(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.syspath_prepend(tmp_path)
    package = plugin_package(
        tmp_path,
        "plugins_with_weights",
        complete='WEIGHTS = ("a/model.onnx",)\n',
        incomplete='WEIGHTS = ("a/model.onnx", "b/model.onnx")\n',
        wild="1 / 0\n",
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a/model.onnx").touch()
    core = DetectorCore(package, model_repository=tmp_path, threads=1, metrics=Metrics())
    assert core.names == ("complete",)
    reasons = {record.detector: record.reason for record in caplog.records if hasattr(record, "reason")}
    assert reasons == {"incomplete": "b/model.onnx missing", "wild": "division by zero"}
    with pytest.raises(NotReady, match=r"the detector 'wild' cannot be loaded: division by zero"):
        core.load("wild")
    core.close()


def test_an_image_that_does_not_decode_is_invalid(make_core):
    damaged = bytearray(no_face_jpeg())
    damaged[2:4] = b"\xff\xd9"
    with pytest.raises(InvalidImage):
        make_core(found()).analyze(bytes(damaged), options())

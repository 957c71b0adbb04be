"""Measuring face detectors: precision and recall, faces marked by hand, and time."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fercore.vision.crop import Framing
from fercore.vision.detection import Detections
from tests.training.tiny_images import cut_short, draw_image, write_image
from tests.training.tiny_scenes import write_scenes
from training.__main__ import main
from training.detection.marks import FRONTAL, TURNED, VIDEO, compare, count_photos, count_video
from training.detection.precision import measure
from training.detection.wider import Scene
from training.errors import TrainingError
from training.measuring import timing

PORTRAIT = Path(__file__).parents[2] / "docs/images/astronaut.jpg"
MARKED = [*FRONTAL.items(), *TURNED.items()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with scenes; each image has a grey of its own, and two frames are a video."""
    write_scenes(tmp_path / "scenes", 6)
    for number, (name, _) in enumerate(MARKED):
        _, encoded = cv2.imencode(".png", np.full((40, 40, 3), number, np.uint8))
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(encoded.tobytes())
    (tmp_path / "videos").mkdir()
    video = cv2.VideoWriter(str(tmp_path / "grey.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 1, (64, 48))
    for grey in (100, 150):
        video.write(np.full((48, 64, 3), grey, np.uint8))
    video.release()
    (tmp_path / "grey.avi").rename(tmp_path / "videos" / VIDEO)
    return tmp_path


class GreyDetector:
    """Finds the given faces, rows of x1 y1 x2 y2 score, in an image of this grey."""

    framing = Framing(1.0, 0.0, 0.0)

    def __init__(self, found: Callable[[int], list[tuple[float, ...]]]) -> None:
        self.found = found

    def detect(self, image: np.ndarray, *, min_face_px: int) -> Detections:
        rows = np.array(self.found(int(image.mean())), np.float32).reshape(-1, 5)
        return Detections(rows[:, :4], rows[:, 4])


def marked(number: int) -> list[tuple[float, ...]]:
    """Return every marked face with a box as people draw it, higher than wide."""
    return [(x - 0.4 * s, y - 0.6 * s, x + 0.4 * s, y + 0.6 * s, 0.9) for x, y, s in MARKED[number][1]]


def test_the_marks_are_the_64_faces_that_look_at_the_camera():
    assert [len(marks) for marks in FRONTAL.values()] == [2, 1, 1, 2, 6, 0, 19, 26, 1, 1, 0, 5]
    assert all(size >= 24 for _, marks in MARKED for _, _, size in marks)


def test_a_detector_that_knows_every_face_misses_none_and_invents_none(data: Path):
    counts = count_photos(GreyDetector(marked), data, min_score=0.5, size=640)
    assert [count.name for count in counts] == [name for name, _ in MARKED]
    assert [count.found for count in counts] == [len(marks) for _, marks in MARKED]
    assert {(count.missed, count.false) for count in counts} == {(0, 0)}


def test_a_missed_face_and_a_false_one_in_the_same_image_are_both_counted(data: Path):
    def mistaken(number: int) -> list[tuple[float, ...]]:
        known = marked(number)
        return [*known[1:], (2000, 2000, 2100, 2100, 0.9)] if MARKED[number][0] == "models__1.jpg" else known

    found = count_photos(GreyDetector(mistaken), data, min_score=0.5, size=640)
    counts = {count.name: count for count in found}
    wrong = counts.pop("models__1.jpg")
    assert (wrong.marked, wrong.found, wrong.missed, wrong.false) == (19, 18, 1, 1)
    assert {(count.missed, count.false) for count in counts.values()} == {(0, 0)}


def test_unsure_and_small_boxes_are_not_counted_since_serving_does_not_give_them(data: Path):
    dropped = GreyDetector(lambda _: [(0, 0, 30, 30, 0.49), (0, 0, 23, 23, 0.9)])
    counted = GreyDetector(lambda _: [(0, 0, 30, 30, 0.5)])
    assert count_video(dropped, data, min_score=0.5, size=640).false == 0
    assert count_video(counted, data, min_score=0.5, size=640).false == 2


def test_a_second_box_on_a_face_and_one_of_another_size_are_false():
    face = np.array([[80, 70, 120, 130]] * 2, np.float32)
    count = compare("two boxes", [(100, 100, 50)], face)
    assert (count.found, count.false) == (1, 1)
    count = compare("huge", [(100, 100, 50)], np.array([[0, 0, 200, 200]], np.float32))
    assert (count.found, count.missed, count.false) == (0, 1, 1)


def test_a_missing_image_or_video_is_named(data: Path):
    (data / "photos" / "models__2.jpg").unlink()
    with pytest.raises(TrainingError, match=r"models__2\.jpg"):
        count_photos(GreyDetector(marked), data, min_score=0.5, size=640)
    (data / "videos" / VIDEO).unlink()
    with pytest.raises(TrainingError, match="is missing or does not decode"):
        count_video(GreyDetector(lambda _: []), data, min_score=0.5, size=640)


def test_detectors_are_timed_in_turn_by_the_time_of_their_own_thread(monkeypatch: pytest.MonkeyPatch):
    ran: list[str] = []
    clock = iter(range(10_000))

    class NamedDetector:
        framing = Framing(1.0, 0.0, 0.0)

        def __init__(self, name: str) -> None:
            self.name = name

        def detect(self, image: np.ndarray, *, min_face_px: int) -> Detections:
            ran.append(self.name)
            if self.name == "slow" or len(ran) < 2 * timing.WARM_UP:  # the first rounds do not count
                next(clock)
            return Detections.none()

    monkeypatch.setattr(time, "thread_time", lambda: next(clock) / 1000)
    detectors = {name: NamedDetector(name) for name in ("quick", "slow")}
    assert timing.time_detectors(detectors, np.zeros((48, 64, 3), np.uint8)) == {"quick": 1.0, "slow": 2.0}
    assert ran == ["quick", "slow"] * timing.ROUNDS


def evaluate(data: Path, *more: str) -> int:
    return main(["evaluate-detector", "haar", "--dataset", "scenes", "--data", str(data), *more])


def test_images_and_times_are_printed_and_reported(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(timing, "ROUNDS", 7)
    assert evaluate(data, "--photos", "--beside", "haar", "--report", str(tmp_path / "report")) == 0
    printed = capsys.readouterr().out
    assert "models__1.jpg                            0 of 19, 0 false" in printed
    assert "0 of 64 frontal faces found, 0 false ones" in printed
    assert "1.00x haar" in printed
    written = json.loads((tmp_path / "report" / "haar_scenes_640.json").read_text())
    assert written["photographs"][6] == {
        "name": "models__1.jpg", "marked": 19, "found": 0, "missed": 19, "false": 0,
    }  # fmt: skip
    assert [photo["name"] for photo in written["photographs"]] == [*(name for name, _ in MARKED), VIDEO]
    assert written["median_ms"]["haar"] > 0


def test_a_damaged_image_is_one_clear_line(data: Path, capsys: pytest.CaptureFixture[str]):
    damaged = data / "scenes" / "images" / "3.png"
    cut_short(damaged)
    assert evaluate(data) == 1
    assert f"error: {damaged}: the picture does not decode" in capsys.readouterr().err
    write_scenes(data / "more", 1)
    cut_short(write_image(data / "photos" / "models__1.jpg", draw_image(1, 90)))
    assert main(["evaluate-detector", "haar", "--dataset", "more", "--data", str(data), "--photos"]) == 1
    assert "models__1.jpg: the picture is cut short" in capsys.readouterr().err


def test_a_detector_that_is_not_there_or_has_no_weights_is_one_clear_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["evaluate-detector", "none", "--data", str(data)]) == 1
    assert "there are:" in capsys.readouterr().err
    assert main(["evaluate-detector", "ferface", "--data", str(data), "--repository", str(tmp_path)]) == 1
    assert "detector_ferface/model.onnx is missing" in capsys.readouterr().err


def scene(*boxes: tuple[float, ...], is_valid: bool = True) -> Scene:
    return Scene(Path("none"), np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), is_valid))


def detections(*found: tuple[float, ...]) -> Detections:
    rows = np.array(found, np.float32).reshape(-1, 5)
    return Detections(rows[:, 1:], rows[:, 0])


def test_average_precision_of_an_example_worked_by_hand():
    scenes = [scene((0, 0, 50, 50), (100, 0, 150, 50)), scene((0, 0, 60, 60))]
    found = [
        detections((0.9, 0, 0, 50, 50), (0.8, 200, 0, 260, 60), (0.7, 102, 0, 152, 50)),
        detections((0.6, 0, 0, 10, 10)),  # misses its face, but is itself too small to be a false alarm
    ]
    curve = measure(scenes, found, min_face_px=40)
    assert curve.faces == 3
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.recall, [1 / 3, 1 / 3, 2 / 3])
    assert curve.average_precision == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert curve.at(0.75) == pytest.approx((1 / 2, 1 / 3))
    assert curve.at(0.95) == (1.0, 0.0)


def test_a_second_detection_of_a_face_is_false():
    found = detections((0.9, 0, 0, 50, 50), (0.8, 1, 0, 50, 50))
    np.testing.assert_allclose(
        measure([scene((0, 0, 50, 50))], [found], min_face_px=40).precision, [1, 1 / 2]
    )


def test_invalid_and_small_faces_count_neither_way():
    found = [detections((0.9, 0, 0, 50, 50)), detections((0.9, 0, 0, 30, 30))]
    scenes = [scene((0, 0, 50, 50), is_valid=False), scene((0, 0, 30, 30))]
    curve = measure(scenes, found, min_face_px=40)
    assert (curve.faces, len(curve.precision)) == (0, 0)
    assert curve.average_precision == 0


@pytest.mark.parametrize(("size", "average_precision"), [("640", "0.0000"), ("1280", "1.0000")])
def test_haar_searches_the_size_that_it_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str, average_precision: str
):
    canvas = np.full((960, 1280, 3), 128, np.uint8)
    canvas[300:520, 400:620] = cv2.resize(cv2.imread(str(PORTRAIT)), (220, 220), interpolation=cv2.INTER_AREA)
    (tmp_path / "scenes/images").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "scenes/images/0.png"), canvas)
    face = {"box": [475, 328, 43, 43], "invalid": 0}  # by eye
    image = {"file": "0.png", "width": 1280, "height": 960, "faces": [face]}
    (tmp_path / "scenes/boxes.json").write_text(json.dumps({"images": [image]}))
    assert evaluate(tmp_path, "--size", size, "--min-face-px", "40") == 0
    assert f"1 faces of 40 px and more: AP {average_precision};" in capsys.readouterr().out


@pytest.mark.parametrize("size", ["0", "2561", "large"])
def test_a_size_that_no_detector_is_shown_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str], size: str
):
    with pytest.raises(SystemExit):
        evaluate(data, "--size", size)
    assert f"'{size}' is no side from 1 to 2560 px" in capsys.readouterr().err


def test_evaluating_writes_curves_and_figures(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report = tmp_path / "report"
    assert evaluate(data, "--min-face-px", "30", "--report", str(report)) == 0
    assert "9 faces of 30 px and more: AP" in capsys.readouterr().out
    written = json.loads((report / "haar_scenes_640.json").read_text())
    assert 0 <= written["faces"]["30"]["average_precision"] <= 1
    assert written["command"].startswith("python -m training evaluate-detector")
    assert (report / "haar_scenes_640.png").read_bytes()[:4] == b"\x89PNG"

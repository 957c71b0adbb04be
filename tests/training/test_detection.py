"""Training face detectors, on scenes small enough for a second."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch.nn.functional import pad

from fercore.vision.boxes import nms
from fercore.vision.decode import decode
from fercore.vision.detection import Detections
from services.detector.detectors import ferface, yunet
from tests.support.requires import ROOT
from tests.support.weights import repository_with
from tests.training.tiny_images import cut_short
from tests.training.tiny_scenes import SIDE_PX, draw_face, write_scenes
from training.__main__ import STOPPED, main
from training.detection import fit as fitting
from training.detection.assignment import assign, decode_boxes, lay_cells
from training.detection.config import DetectorConfig, TeacherConfig, load_detector_config
from training.detection.dense import load_dense_teacher
from training.detection.exporters.ferface import describe_data, to_graph
from training.detection.losses import detection_loss, join_maps
from training.detection.network import OUTPUTS, STRIDES, FerFace, normalise
from training.detection.samples import add_taught, load_samples
from training.detection.served import OFFSET, SAME_FACE_IOU, SCORE_FLOOR
from training.detection.views import Sample, draw_mosaic, draw_view
from training.detection.wider import read_wider
from training.errors import TrainingError
from training.learning.state import Validation

SHIPPED = ROOT / "model_repository/detector_ferface"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_scenes(tmp_path / "data" / "scenes", 6)
    return tmp_path / "data"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    config = {
        "name": "tiny",
        "data": "scenes",
        "held_out": 0.2,
        "fit": {"epochs": 2, "views": 1, "sides_px": [64, 128], "batch_size": 2, "precision": "float32"},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def known_face(box: tuple[int, int, int] = (40, 50, 60), *, is_ignored: bool = False) -> Sample:
    image = np.full((SIDE_PX, SIDE_PX, 3), 60, np.uint8)
    x, y, side = box
    draw_face(image, x, y, side)
    points = np.array([[0.3, 0.33], [0.7, 0.33], [0.5, 0.5], [0.35, 0.7], [0.65, 0.7]], np.float32)
    return Sample(
        image,
        np.array([[x, y, x + side, y + side]], np.float32),
        (points * side + [x, y])[None].astype(np.float32),
        np.array([is_ignored]),
    )


def test_scenes_are_read_with_corners_and_what_is_invalid(data: Path):
    scenes = read_wider(data / "scenes").scenes
    assert len(scenes) == 6
    assert scenes[0].is_valid.tolist() == [True, False]
    sides = scenes[0].boxes[:, 2:] - scenes[0].boxes[:, :2]
    assert 40 <= sides[0, 0] < 64
    assert sides[1].tolist() == [20, 20]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged"),
        ("{}", "images"),
        ('{"images": []}', "no picture"),
        ('{"images": [{"file": "0.png", "faces": [{"box": [1, 2, 3, 4]}]}]}', "invalid"),
        ('{"images": [{"file": "0.png", "faces": 3}]}', "damaged"),
        ('{"images": [{"file": "gone.png", "faces": []}]}', "gone.png"),
    ],
)
def test_damaged_scenes_are_named(data: Path, content: str, message: str):
    (data / "scenes" / "boxes.json").write_text(content)
    with pytest.raises(TrainingError, match=message):
        read_wider(data / "scenes")


def test_missing_scenes_are_named(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"boxes\.json"):
        read_wider(tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_boxes_and_landmarks_follow_the_face_into_every_view(seed: int):
    view = draw_view(known_face(), 128, np.random.default_rng(seed))
    assert view.image.shape == (128, 128, 3)
    for box, points in zip(view.boxes[~view.is_ignored], view.landmarks[~view.is_ignored], strict=True):
        assert (box[:2] >= 0).all()
        assert (box[2:] <= 128).all()
        assert (points[[0, 3], 0] < points[[1, 4], 0]).all()  # the viewer's left first, mirrored or not
        nose = points[2].round().astype(int)
        if (nose > 2).all() and (nose < 125).all():
            around = view.image[nose[1] - 1 : nose[1] + 2, nose[0] - 1 : nose[0] + 2]
            assert around.mean() > np.percentile(view.image, 1) + 20  # on the disc, not on its dark eyes


def test_a_mosaic_holds_a_view_in_each_quarter():
    mosaic = draw_mosaic([known_face()] * 4, 256, np.random.default_rng(1))
    assert mosaic.image.shape == (256, 256, 3)
    quarters = {tuple((box[:2] // 128).astype(int)) for box in mosaic.boxes}
    assert len(quarters) > 1
    assert all((box[:2] // 128 == (box[2:] - 1e-3) // 128).all() for box in mosaic.boxes)


def test_a_teacher_adds_landmarks_to_known_faces_and_faces_without_annotation():
    plain = Sample(
        np.zeros((9, 9, 3), np.uint8),
        np.array([[0, 0, 50, 50]], np.float32),
        np.full((1, 5, 2), np.nan, np.float32),
        np.array([False]),
    )
    taught = Detections(
        np.array([[2, 2, 50, 50], [100, 0, 140, 40], [200, 0, 240, 40], [300, 0, 340, 40]], np.float32),
        np.array([0.9, 0.9, 0.5, 0.1], np.float32),
        np.arange(40, dtype=np.float32).reshape(4, 5, 2),
    )
    known = add_taught(plain, taught, TeacherConfig(detector="yunet", sure=0.75, unsure=0.3))
    np.testing.assert_array_equal(known.boxes[:, 0], [0, 100, 200])
    np.testing.assert_array_equal(known.landmarks[0], taught.landmarks[0])
    assert known.is_ignored.tolist() == [False, False, True]


def test_a_damaged_scene_is_named(data: Path):
    damaged = cut_short(data / "scenes" / "images" / "4.png")
    with pytest.raises(TrainingError, match=f"{damaged}: the picture does not decode"):
        load_samples(read_wider(data / "scenes").scenes, None, None)


def perfect_maps(view: Sample) -> list[torch.Tensor]:
    """Return the maps of a perfect network: high scores in the face, with its exact box and landmarks."""
    cells = lay_cells(*view.image.shape[:2])
    box, points = torch.from_numpy(view.boxes[0]), torch.from_numpy(view.landmarks[0])
    middle = cells.corners + cells.strides[:, None] / 2
    is_in = ((middle - (box[:2] + box[2:]) / 2).abs() < 2.5 * cells.strides[:, None]).all(dim=1)
    strides = cells.strides[:, None]
    answers = torch.zeros(len(strides), OUTPUTS)
    answers[:, 0] = torch.where(is_in, 8.0, -12.0)
    answers[:, 1:3] = ((box[:2] + box[2:]) / 2 - cells.corners) / strides
    answers[:, 3:5] = ((box[2:] - box[:2]) / strides).log()
    answers[:, 5:] = ((points[None] - cells.corners[:, None]) / strides[:, None]).flatten(1)
    sides = [-(-SIDE_PX // stride) for stride in STRIDES]
    parts = answers.split([side * side for side in sides])
    return [part.T.reshape(1, OUTPUTS, side, side) for part, side in zip(parts, sides, strict=True)]


def test_cells_near_the_middle_of_a_face_answer_for_it():
    view = known_face()
    maps = perfect_maps(view)
    cells = lay_cells(SIDE_PX, SIDE_PX)
    answers = torch.cat([part.flatten(2) for part in maps], dim=2)[0].T
    faces = torch.from_numpy(view.boxes)
    chosen, face, overlap = assign(answers[:, 0], decode_boxes(answers[:, 1:5], cells), faces, cells)
    assert 1 <= len(chosen) <= 10
    assert face.unique().tolist() == [0]
    torch.testing.assert_close(overlap, torch.ones(len(chosen)), atol=1e-4, rtol=0)
    middle = cells.corners[chosen] + cells.strides[chosen, None] / 2
    assert ((middle - torch.tensor([70.0, 80.0])).abs() <= 2.5 * cells.strides[chosen, None]).all()


def test_a_perfect_answer_costs_nothing_for_box_and_landmarks():
    view = known_face()
    loss = detection_loss(perfect_maps(view), [view])
    assert float(loss.box) == pytest.approx(0, abs=1e-4)
    assert float(loss.landmarks) == pytest.approx(0, abs=1e-4)
    shifted = [part + 0.2 for part in perfect_maps(view)]
    assert float(detection_loss(shifted, [view]).box) > 0.01
    assert float(detection_loss(shifted, [view]).landmarks) > 0.01


def test_ignored_faces_count_neither_as_faces_nor_as_background():
    view = known_face(is_ignored=True)
    maps = [part.clone().requires_grad_() for part in perfect_maps(known_face())]
    detection_loss(maps, [view]).total.backward()
    row, column = 80 // 8, 70 // 8
    assert float(maps[0].grad[0, 0, row, column]) == 0
    assert float(maps[0].grad[0, 0, 0, 0]) > 0


def train(config_file: Path, data: Path, runs: Path, *more: str) -> int:
    return main(["train-detector", str(config_file), "--data", str(data), "--runs", str(runs), *more])


def figures(runs: Path) -> list[str]:
    lines = (runs / "tiny" / "metrics.csv").read_text().splitlines()
    return [line.rpartition(",")[0] for line in lines[1:]]  # all but the speed


def test_a_run_resumed_gives_the_numbers_of_an_unbroken_one(
    data: Path, config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert train(config_file, data, tmp_path / "whole") == 0
    validated, validate = iter([None, KeyboardInterrupt]), fitting.DetectorTask.validate

    def stopped_in_the_second_epoch(task: fitting.DetectorTask, network: torch.nn.Module) -> Validation:
        if fault := next(validated, None):
            raise fault
        return validate(task, network)

    monkeypatch.setattr(fitting.DetectorTask, "validate", stopped_in_the_second_epoch)
    assert train(config_file, data, tmp_path / "broken") == STOPPED
    assert len(figures(tmp_path / "broken")) == 1
    assert train(config_file, data, tmp_path / "broken") == 1  # not without --resume
    assert train(config_file, data, tmp_path / "broken", "--resume") == 0
    assert figures(tmp_path / "broken") == figures(tmp_path / "whole")


def test_a_run_is_exported_as_the_plug_in_loads_it(
    data: Path, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs = tmp_path / "runs"
    assert train(config_file, data, runs) == 0
    command = ["export-detector", "--repository", str(tmp_path / "models"), "ferface", str(runs / "tiny")]
    assert main(command) == 0
    found = ferface.create(tmp_path / "models").detect(np.zeros((50, 70, 3), np.uint8), min_face_px=1)
    assert found.boxes.shape[1] == 4
    card = json.loads((tmp_path / "models" / "detector_ferface" / "card.json").read_text())
    assert card["training_config"]["name"] == "tiny"
    assert card["parameters"] < 500_000
    assert card["data"] == "scenes; boxes as annotated, no landmarks"
    (runs / "tiny" / "best.pt").unlink()
    assert main(command) == 1
    assert "best.pt" in capsys.readouterr().err


TAUGHT = "landmarks and further faces taught by"
YUNET = "YuNet (libfacedetection.train)"


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        (None, "boxes as annotated, no landmarks"),
        (TeacherConfig(detector="mtcnn"), f"boxes as annotated, {TAUGHT} mtcnn"),
        (
            TeacherConfig(detector="yunet", dense=0.5),
            f"boxes as annotated, {TAUGHT} {YUNET}, 50% of the loss its answers to every cell",
        ),
        (
            TeacherConfig(detector="yunet", dense=1),
            f"every score, box and landmark taught by {YUNET}, boxes as annotated only choose what is shown",
        ),
    ],
)
def test_a_card_says_who_taught_what(teacher: TeacherConfig | None, said: str):
    config = DetectorConfig(name="tiny", data="wider_train", teacher=teacher)
    assert describe_data(config) == f"WIDER FACE train, 1,239 of its pictures (research use); {said}"


def test_the_shipped_card_says_what_its_own_config_does():
    card = json.loads((SHIPPED / "card.json").read_text())
    config = DetectorConfig.model_validate(card["training_config"])
    assert config.teacher is not None
    assert config.teacher.dense == 1
    assert card["data"] == describe_data(config)
    assert card["sha256"] == hashlib.sha256((SHIPPED / "model.onnx").read_bytes()).hexdigest()


def test_the_plug_in_returns_the_cells_with_the_highest_scores(tmp_path: Path):
    torch.manual_seed(0)
    network = FerFace().eval()
    with torch.no_grad():
        last = network.head[-1]
        assert isinstance(last, torch.nn.Conv2d)
        last.bias[0] = 0.0
        last.weight *= 20
    (tmp_path / "detector_ferface").mkdir()
    (tmp_path / "detector_ferface" / "model.onnx").write_bytes(to_graph(network))
    image = np.random.default_rng(0).integers(
        0, 255, (96, 160, 3), dtype=np.uint8
    )  # half a cell of the last map
    found = ferface.create(tmp_path).detect(image, min_face_px=1)
    with torch.no_grad():
        answers = join_maps(network(normalise(torch.from_numpy(image[None]))))[0]
    cells = lay_cells(96, 160)
    scores, boxes = (answers[:, 0] - OFFSET).sigmoid().numpy(), decode_boxes(answers[:, 1:5], cells).numpy()
    likely = np.flatnonzero(scores >= SCORE_FLOOR)
    kept = likely[nms(boxes[likely], scores[likely], SAME_FACE_IOU)]
    assert len(kept) > 3
    np.testing.assert_allclose(found.scores, scores[kept], atol=1e-4)
    np.testing.assert_allclose(found.boxes, boxes[kept], atol=0.05)
    steps = answers[kept, 5:].reshape(-1, 5, 2) * cells.strides[kept, None, None]
    np.testing.assert_allclose(found.landmarks, cells.corners[kept, None] + steps, atol=0.05)


def test_a_wrong_config_is_one_clear_line(config_file: Path):
    config_file.write_text("name: tiny\nfit: {epochs: 0}\n")
    with pytest.raises(TrainingError, match=r"fit\.epochs"):
        load_detector_config(config_file)


def astronaut_view() -> Sample:
    whole = decode((ROOT / "docs/images/astronaut.jpg").read_bytes())
    image = np.asarray(cv2.resize(whole, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)
    return Sample(image, np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, bool))


def maps_of(answers: torch.Tensor, side_px: int) -> list[torch.Tensor]:
    """Split answers [n, A, 15] into maps of the network's shapes."""
    sizes = [side_px // stride for stride in STRIDES]
    parts = answers.transpose(1, 2).split([size * size for size in sizes], dim=2)
    return [part.reshape(len(answers), OUTPUTS, size, size) for part, size in zip(parts, sizes, strict=True)]


def test_a_run_starts_from_a_finished_one_and_from_no_other(
    config_file: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs = tmp_path / "runs"
    assert train(config_file, data, runs) == 0
    config = yaml.safe_load(config_file.read_text())
    # so small a step that the weights stay, whatever is learnt
    config |= {"name": "next", "start_from": str(runs / "tiny"), "fit": {**config["fit"], "lr": 1e-9}}
    config["fit"]["weight_decay"] = 0.0
    later = tmp_path / "next.yaml"
    later.write_text(yaml.safe_dump(config))
    assert train(later, data, runs) == 0
    first, second = (torch.load(runs / run / "best.pt", weights_only=True) for run in ("tiny", "next"))
    for name in ("stem.0.weight", "head.1.bias"):
        torch.testing.assert_close(second["network"][name], first["network"][name], atol=1e-6, rtol=0)
    first["network"]["head.1.bias"] += 1
    torch.save(first, runs / "tiny" / "best.pt")
    assert train(later, data, runs, "--resume") == 1
    assert "has changed since" in capsys.readouterr().err


def test_statistics_are_kept_where_the_config_says_so(
    config_file: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs = tmp_path / "runs"
    assert train(config_file, data, runs) == 0
    config = yaml.safe_load(config_file.read_text())
    config["fit"] |= {"epochs": 1, "keeps_statistics": True}
    later = tmp_path / "next.yaml"
    later.write_text(yaml.safe_dump(config | {"name": "next"}))
    assert train(later, data, runs) == 1
    assert "needs start_from" in capsys.readouterr().err
    later.write_text(yaml.safe_dump(config | {"name": "next", "start_from": str(runs / "tiny")}))
    assert train(later, data, runs) == 0
    first, second = (
        torch.load(runs / run / "best.pt", weights_only=True)["network"] for run in ("tiny", "next")
    )
    for name in first:
        is_kept = "running" in name or "tracked" in name
        assert torch.equal(first[name], second[name]) == is_kept, name


def test_the_dense_teacher_says_of_its_best_cell_what_the_detector_reports(tmp_path: Path):
    repository, view = repository_with(yunet.WEIGHTS, tmp_path), astronaut_view()
    target = load_dense_teacher(TeacherConfig(detector="yunet", dense=1), repository).answer([view, view])
    cells = lay_cells(256, 256)
    best = int(target[1, :, 0].argmax())
    reported = yunet.create(repository).detect(view.image, min_face_px=24)
    assert float(target[1, best, 0]) == pytest.approx(reported.scores[0], abs=1e-4)
    np.testing.assert_allclose(
        decode_boxes(pad(target[1, :, 1:5], (0, 0, 0, 16)), cells)[best], reported.boxes[0], atol=0.01
    )


def test_a_student_that_answers_as_the_dense_teacher_has_no_loss(tmp_path: Path):
    teacher = load_dense_teacher(
        TeacherConfig(detector="yunet", dense=1), repository_with(yunet.WEIGHTS, tmp_path)
    )
    view = astronaut_view()
    answers = pad(teacher.answer([view]), (0, 0, 0, 16))  # the cells of the coarsest map
    answers[..., 0] = answers[..., 0].logit(eps=1e-6)
    answers.requires_grad_()
    teacher.distance(maps_of(answers, 256), [view]).total.backward()
    assert float(answers.grad.abs().max()) < 1e-3
    off = answers.detach() + 1
    off.requires_grad_()
    teacher.distance(maps_of(off, 256), [view]).total.backward()
    for part in (slice(0, 1), slice(1, 5), slice(5, 15)):
        assert float(off.grad[..., part].abs().max()) > 1e-2


def test_only_yunet_teaches_every_cell(tmp_path: Path):
    with pytest.raises(TrainingError, match="mtcnn cannot"):
        load_dense_teacher(TeacherConfig(detector="mtcnn", dense=1), tmp_path)
    with pytest.raises(TrainingError, match="missing"):
        load_dense_teacher(TeacherConfig(detector="yunet", dense=1), tmp_path)
    assert load_dense_teacher(TeacherConfig(detector="mtcnn"), tmp_path) is None

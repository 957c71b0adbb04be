"""Public weights through the exporters and plug-ins find the faces that torch finds, decoded another way."""

import argparse
import resource
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from torchvision.ops import nms

from fercore.vision.decode import decode
from services.detector.detectors import mtcnn, retinaface
from tests.support.detector_promises import ODD_IMAGES, assert_same_in_threads, assert_sees_no_face
from tests.support.requires import data_folder
from training.__main__ import main
from training.commands import export_detector
from training.detection.exporters import mtcnn as mtcnn_exporter
from training.detection.exporters import retinaface as retinaface_exporter
from training.detection.exporting import read_weights
from training.errors import TrainingError

RETINAFACE = "Face-Detector-1MB-with-landmark__mobilenet0.25_Final.pth"
STAGES = ("pnet", "rnet", "onet")
LIKELY = 0.5
PORTRAIT = Path(__file__).parents[2] / "docs/images/astronaut.jpg"


def weights(name: str) -> Path:
    return data_folder("weights") / name


def stage_files() -> list[Path]:
    return [weights(f"facenet-pytorch__{stage}.pt") for stage in STAGES]


def export(repository: Path, *arguments: str | Path) -> int:
    return main(["export-detector", "--repository", str(repository), *map(str, arguments)])


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    assert export(folder, "retinaface", weights(RETINAFACE)) == 0
    assert export(folder, "mtcnn", *stage_files()) == 0
    return folder


def read_images() -> Iterator[np.ndarray]:
    """Yield the shared photos, small, because the reference is slow."""
    for file in sorted(data_folder("photos").iterdir()):
        image = decode(file.read_bytes())
        scale = min(1, 320 / max(image.shape[:2]))
        yield cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def assert_same_faces(found, boxes, landmarks) -> None:
    likely = found.scores >= LIKELY
    assert likely.sum() == len(boxes)
    for box, points in zip(boxes, landmarks, strict=True):
        distances = np.abs(found.boxes[likely] - box).max(axis=1, initial=0)
        nearest = distances.argmin()
        assert distances[nearest] < 1
        assert np.abs(found.landmarks[likely][nearest] - points).max() < 1


def test_retinaface_finds_what_its_torch_network_finds(repository):
    network = retinaface_exporter.RetinaFace("mobilenet")
    network.load_state_dict(read_weights(weights(RETINAFACE)))
    detector = retinaface.create(repository)
    faces = 0
    for image in read_images():
        boxes, landmarks = retinaface_by_torch(network.eval(), image)
        assert_same_faces(detector.detect(image, min_face_px=1), boxes, landmarks)
        faces += len(boxes)
    assert faces > 30


def retinaface_by_torch(network: torch.nn.Module, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decode in parts of the image, anchor by anchor, as the paper's code does."""
    height, width = image.shape[:2]
    bgr = torch.from_numpy(image[:, :, ::-1] - np.array([104, 117, 123], np.float32))
    with torch.no_grad():
        offsets, classes, points = (part[0] for part in network(bgr.permute(2, 0, 1)[None]))
    anchors = [
        ((column + 0.5) * stride / width, (row + 0.5) * stride / height, side / width, side / height)
        for stride, sides in ((8, (10, 20)), (16, (32, 64)), (32, (128, 256)))
        for row, column in product(range(-(-height // stride)), range(-(-width // stride)))
        for side in sides
    ]
    boxes, landmarks, scores = [], [], []
    for index in torch.nonzero(classes[:, 1] >= LIKELY)[:, 0].tolist():
        x, y, w, h = anchors[index]
        dx, dy, dw, dh = offsets[index].tolist()
        centre_x, centre_y = x + 0.1 * dx * w, y + 0.1 * dy * h
        half_w, half_h = w * np.exp(0.2 * dw) / 2, h * np.exp(0.2 * dh) / 2
        boxes.append((centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h))
        landmarks.append(
            [(x + 0.1 * px * w, y + 0.1 * py * h) for px, py in points[index].view(5, 2).tolist()]
        )
        scores.append(classes[index, 1])
    if not boxes:
        return np.zeros((0, 4)), np.zeros((0, 5, 2))
    corners = torch.tensor(boxes, dtype=torch.float32) * torch.tensor([width, height, width, height])
    kept = nms(corners, torch.stack(scores), 0.4).numpy()
    return corners.numpy()[kept], np.array(landmarks)[kept] * [width, height]


def test_mtcnn_finds_what_its_torch_networks_find(repository):
    networks = []
    for stage, file in zip(STAGES, stage_files(), strict=True):
        network = mtcnn_exporter.build(stage)
        network.load_state_dict(read_weights(file))
        networks.append(network.eval())
    detector = mtcnn.create(repository)
    faces = 0
    for image in read_images():
        boxes, landmarks = mtcnn_by_torch(networks, image)
        assert_same_faces(detector.detect(image, min_face_px=1), boxes, landmarks)
        faces += len(boxes)
    assert faces > 30


@torch.no_grad()
def mtcnn_by_torch(networks: list[torch.nn.Module], image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cascade window by window, with torchvision's suppression."""
    height, width = image.shape[:2]
    proposals: list[tuple[float, torch.Tensor]] = []
    scale = 12 / 20
    while min(height, width) * scale >= 12:
        columns, rows = round(width * scale), round(height * scale)
        scores, offsets = networks[0](
            as_tensor(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA))
        )
        level = []
        for row, column in torch.nonzero(scores[0, 1] >= 0.6).tolist():
            window = torch.tensor([2 * column, 2 * row, 2 * column + 12, 2 * row + 12], dtype=torch.float32)
            level.append((scores[0, 1, row, column], window, offsets[0, :, row, column]))
        to_source = torch.tensor([width / columns, height / rows] * 2)
        proposals += [(score, move(box * to_source, by)) for score, box, by in suppress(level, 0.5)]
        scale *= 0.709
    windows = [make_square(window) for _, window in suppress(proposals, 0.7)]
    if not windows:
        return np.zeros((0, 4)), np.zeros((0, 5, 2))
    scores, offsets = networks[1](torch.cat([as_tensor(cut(image, window, 24)) for window in windows]))
    refined = [face for face in zip(scores[:, 1], windows, offsets, strict=True) if face[0] >= 0.7]
    final = []
    for _, window, by in suppress(refined, 0.7):
        square = make_square(move(window, by))
        scores, offsets, points = networks[2](as_tensor(cut(image, square, 48)))
        x, y = points[0, :5], points[0, 5:]
        sides = square[2:] - square[:2]
        final.append((scores[0, 1], move(square, offsets[0]), torch.stack([x, y], 1) * sides + square[:2]))
    final.sort(key=lambda face: -face[0])
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    for score, box, points in final:
        if score >= LIKELY and all(share_of_smaller(box, other) <= 0.7 for other, _ in kept):
            kept.append((box, points))
    return np.array([box.numpy() for box, _ in kept]), np.array([points.numpy() for _, points in kept])


def suppress(found: list[tuple], bound: float) -> list[tuple]:
    """Keep the strongest of (score, box, ...)."""
    if not found:
        return []
    kept = nms(torch.stack([each[1] for each in found]), torch.stack([each[0] for each in found]), bound)
    return [found[index] for index in kept.tolist()]


def move(box: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    w, h = box[2] - box[0], box[3] - box[1]
    return box + by * torch.stack([w, h, w, h])


def make_square(box: torch.Tensor) -> torch.Tensor:
    half = max(box[2] - box[0], box[3] - box[1]) / 2
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return torch.stack([x - half, y - half, x + half, y + half])


def share_of_smaller(one: torch.Tensor, other: torch.Tensor) -> float:
    w, h = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(w.clamp(min=0) * h.clamp(min=0) / torch.stack(areas).min())


def cut(image: np.ndarray, window: torch.Tensor, side: int) -> np.ndarray:
    x1, y1, x2, y2 = (round(corner) for corner in window.tolist())
    beyond = 2 * max(image.shape)
    black = np.pad(image, ((beyond, beyond), (beyond, beyond), (0, 0)))
    part = black[beyond + y1 : beyond + y2, beyond + x1 : beyond + x2]
    return cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(image).permute(2, 0, 1)[None].float() - 127.5) / 128


@pytest.mark.parametrize("image", ODD_IMAGES)
@pytest.mark.parametrize("plugin", [mtcnn, retinaface], ids=["mtcnn", "retinaface"])
def test_odd_images_have_no_face_and_do_no_harm(repository, plugin, image):
    assert_sees_no_face(plugin.create(repository), ODD_IMAGES[image])


@pytest.mark.parametrize("plugin", [mtcnn, retinaface], ids=["mtcnn", "retinaface"])
def test_it_gives_the_same_answer_in_many_threads_at_once(repository, plugin):
    assert_same_in_threads(plugin.create(repository), decode(PORTRAIT.read_bytes()))


def test_the_graphs_are_what_the_stock_triton_and_old_runtimes_load(repository):
    for file in (*retinaface.WEIGHTS, *mtcnn.WEIGHTS):
        model = onnx.load_model(repository / file)
        assert model.ir_version <= 9
        assert model.opset_import[0].version <= 18


def test_retinaface_on_resnet50_is_known_by_its_weights(tmp_path):
    torch.manual_seed(0)
    network = retinaface_exporter.RetinaFace("resnet50")
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # one image makes the statistics, so that activations stay small
        if isinstance(layer, retinaface_exporter.Head):
            torch.nn.init.normal_(layer.conv1x1.weight, std=1e-4)
    network(torch.rand(1, 3, 96, 96))
    file = tmp_path / "Resnet50_Final.pth"
    torch.save({f"module.{name}": weight for name, weight in network.state_dict().items()}, file)
    assert export(tmp_path / "models", "retinaface", file) == 0
    model = onnx.load_model(tmp_path / "models" / retinaface.WEIGHTS[0])
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "anchor_sides": "16,32 64,128 256,512"
    }
    found = retinaface.create(tmp_path / "models").detect(np.zeros((50, 70, 3), np.uint8), min_face_px=1)
    assert len(found.boxes) == len(found.landmarks)


def test_a_mobilenet_of_another_origin_gets_its_anchors(tmp_path):
    assert export(tmp_path, "retinaface", weights(RETINAFACE), "--origin", "pytorch") == 0
    detector = retinaface.create(tmp_path)
    assert isinstance(detector, retinaface.RetinaFace)
    assert [list(sides) for sides in detector._sides] == [[16, 32], [64, 128], [256, 512]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "cannot be read as weights: UnpicklingError"),
        ([1, 2], "is no table of weights"),
        ({"a": torch.zeros(1)}, "the weights are not those of RetinaFace: "),
    ],
)
def test_a_file_that_is_no_retinaface_is_refused_and_nothing_written(tmp_path, capsys, content, message):
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    assert export(tmp_path / "models", "retinaface", file) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_disk_full_after_the_first_graph_leaves_the_old_cascade_and_nothing_else(tmp_path, capsys):
    assert export(tmp_path, "mtcnn", *stage_files()) == 0
    folder = tmp_path / "detector_mtcnn"
    (folder / "pnet.onnx").write_bytes(b"an older one")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    graphs = mtcnn_exporter.export(argparse.Namespace(**dict(zip(STAGES, stage_files(), strict=True))))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # pnet's 28 KB fit, rnet's 400 do not
    try:
        options = argparse.Namespace(name="mtcnn", repository=tmp_path, export=lambda _: graphs)
        with pytest.raises(TrainingError, match="detector_mtcnn cannot be written: File too large"):
            export_detector.run(options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["detector_mtcnn"]


def test_a_full_disk_of_temporary_files_is_one_clear_line(tmp_path, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        assert export(tmp_path, "mtcnn", *stage_files()) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capsys.readouterr().err.splitlines()[-1] == "error: File too large"
    assert list(tmp_path.iterdir()) == []


def test_stages_in_the_wrong_order_are_refused(tmp_path, capsys):
    pnet, rnet, onet = stage_files()
    assert export(tmp_path, "mtcnn", pnet, onet, rnet) == 1
    assert "the weights are not those of rnet" in capsys.readouterr().err
    assert not (tmp_path / "detector_mtcnn").exists()

"""Pasting faces and drawn things into views, for a teacher who labels them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from fercore.vision.decode import decode
from fercore.vision.image import DecodedImage
from services.detector.detectors import yunet
from tests.support.requires import ROOT
from tests.support.weights import repository_with
from tests.training.tiny_fer import FerFolder
from tests.training.tiny_scenes import write_scenes
from training.__main__ import main
from training.detection.config import load_detector_config
from training.detection.pasted import Paste
from training.detection.views import Sample
from training.errors import TrainingError

FACES = np.full((3, 48, 48), 200, np.uint8)


def grey_view() -> Sample:
    no_faces = np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, bool)
    return Sample(np.full((256, 256, 3), 90, np.uint8), *no_faces)


def test_faces_that_are_pasted_are_faces_to_the_teacher(tmp_path: Path):
    portrait = DecodedImage.in_full(decode((ROOT / "docs/images/astronaut.jpg").read_bytes())).pixels
    detector = yunet.create(repository_with(yunet.WEIGHTS, tmp_path))
    (x1, y1, x2, y2), *_ = detector.detect(portrait, min_face_px=24).boxes.astype(int)
    face = cv2.resize(cv2.cvtColor(portrait[y1:y2, x1:x2], cv2.COLOR_RGB2GRAY), (48, 48))
    paste = Paste(np.asarray(face[None], np.uint8), face_share=1, drawn_share=0)
    found = [
        detector.detect(paste.apply(grey_view(), np.random.default_rng(seed)).image, min_face_px=8).scores
        for seed in range(8)
    ]
    assert sum(scores.max(initial=0) > 0.5 for scores in found) >= 6


@pytest.mark.parametrize("shares", [(1, 0), (0, 1), (1, 1)])
def test_chance_decides_what_is_pasted_and_nothing_else_changes(shares: tuple[float, float]):
    view, paste = grey_view(), Paste(FACES, *shares)
    first, again, other = (paste.apply(view, np.random.default_rng(seed)).image for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != view.image).any()
    assert (view.image == 90).all()


def test_without_shares_a_view_stays_as_it_is():
    view = grey_view()
    assert Paste(FACES, 0, 0).apply(view, np.random.default_rng(1)).image is view.image


def test_a_face_may_have_colours_of_its_own():
    red = np.zeros((1, 48, 48, 3), np.uint8)
    red[..., 0] = 250
    image = Paste(red, face_share=1, drawn_share=0).apply(grey_view(), np.random.default_rng(1)).image
    assert (image[..., 0] > 200).any()
    assert image[..., 1].max() <= 90


def test_a_run_pastes_the_training_faces_of_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data, repository = tmp_path / "data", repository_with(yunet.WEIGHTS, tmp_path / "repository")
    write_scenes(data / "scenes", 6)
    FerFolder(data).write()
    config = {
        "name": "pasted",
        "data": "scenes",
        "teacher": {"detector": "yunet", "dense": 1.0},
        "paste": {"face_share": 0.9},
        "fit": {"epochs": 1, "views": 1, "sides_px": [64], "batch_size": 2},
    }
    file = tmp_path / "pasted.yaml"
    file.write_text(yaml.safe_dump(config))
    places = ["--data", str(data), "--runs", str(tmp_path / "runs"), "--repository", str(repository)]
    assert main(["train-detector", str(file), *places]) == 0
    changed = FerFolder(data)
    changed.tiles[0] = changed.tiles[0][::-1]
    changed.write()
    assert main(["train-detector", str(file), *places, "--resume"]) == 1
    assert "made from other data" in capsys.readouterr().err


@pytest.mark.parametrize("teacher", [None, {"detector": "yunet", "dense": 0.5}])
def test_what_is_pasted_needs_somebody_who_can_name_it(teacher: object, tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"name": "pasted", "teacher": teacher, "paste": {}}))
    with pytest.raises(TrainingError, match=r"teacher\.dense: 1"):
        load_detector_config(file)

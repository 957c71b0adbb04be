"""Whole images through detector, framing and model."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.requires import ROOT
from tests.training.tiny_images import cut_short, write_image
from training.__main__ import main
from training.errors import TrainingError
from training.measuring.portraits import FOUR, list_portraits, load_portraits

MODEL = ROOT / "tests" / "model_repository" / "emotion_tiny"
PORTRAIT = cv2.imread(str(ROOT / "docs" / "images" / "astronaut.jpg"))[..., ::-1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A face that is said to be sad, nothing at all that is said to be angry, and the face, happy."""
    images = tmp_path / "portraits_4class" / "images"
    for name, image in (("a", PORTRAIT), ("b", np.zeros((64, 64, 3), np.uint8)), ("c", PORTRAIT)):
        write_image(images / f"{name}.png", image)
    (images.parent / "labels.csv").write_text("file,emotion\na.png,sad\nb.png,angry\nc.png,happy\n")
    return tmp_path


def portraits(data: Path, *more: str, detector: str = "ferface") -> int:
    return main(["portraits", str(MODEL), "--detector", detector, "--data", str(data), *more])


@pytest.mark.parametrize("detector", ["ferface", "haar"])
def test_what_is_found_and_what_is_right_are_told_by_emotion(data, capsys, detector):
    assert portraits(data, detector=detector) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a face found in 2 of 3 portraits"
    assert lines[1] == "prior training:"
    assert lines[2] in {
        "accuracy over those 0.0000 [0.0000, 0.0000], over all 0.0000 [0.0000, 0.0000]",
        "accuracy over those 0.5000 [0.0000, 1.0000], over all 0.3333 [0.0000, 1.0000]",
    }  # the same face cannot be both
    by_emotion = {line.split()[0]: line for line in lines[3:7]}
    assert list(by_emotion) == [emotion.value for emotion in FOUR]
    assert "none found, missed 1" in by_emotion["anger"]
    sad, happy = by_emotion["sadness"], by_emotion["happiness"]
    assert any(f"recall {share} [{share}, {share}], missed 0" in sad for share in ("0.0000", "1.0000"))
    assert "missed 0" in happy
    assert "recalls are of the faces found" in lines[7]
    assert [line.split(":")[0] for line in lines[8:]] == ["command", "date", "machine", "git commit"]


def test_several_priors_are_measured_on_the_same_faces(data, tmp_path, capsys):
    model = tmp_path / MODEL.name
    shutil.copytree(MODEL, model)
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    card["training_shares"] = dict.fromkeys(card["labels"], 1 / len(card["labels"]))
    (model / "card.json").write_text(json.dumps(card), encoding="utf-8")
    priors = ("training", "sadness:1", "anger:1,happiness:0")
    arguments = ["portraits", str(model), "--detector", "ferface", "--data", str(data), "--prior", *priors]
    assert main(arguments) == 0
    blocks = capsys.readouterr().out.split("\nprior ")[1:]
    assert [block.split(":\n")[0] for block in blocks] == list(priors)
    assert "accuracy over those 0.5000" in blocks[1]
    assert "sadness    recall 1.0000" in blocks[1]
    assert "accuracy over those 0.0000" in blocks[2]


def test_a_prior_that_the_model_cannot_answer_for_is_one_clear_line(data, capsys):
    assert portraits(data, "--prior", "uniform") == 1
    assert "the model states no training_shares" in capsys.readouterr().err
    assert portraits(data, "--prior", "joy:1") == 1
    assert "--prior joy:1: 'joy' is none of the emotions" in capsys.readouterr().err


@pytest.mark.parametrize("bound", [("--min-score", "1"), ("--min-face-px", "400")])
def test_unsure_and_small_faces_do_not_count(data, capsys, bound):
    assert portraits(data, *bound) == 1
    assert "found no face in any picture" in capsys.readouterr().err


def test_the_portraits_are_those_of_the_table_in_its_order(data):
    images, labels = load_portraits(data)
    assert [FOUR[label].value for label in labels] == ["sadness", "anger", "happiness"]
    np.testing.assert_array_equal(images[2](), PORTRAIT)


def test_a_damaged_or_missing_portrait_is_one_clear_line(data, capsys):
    damaged = cut_short(data / "portraits_4class" / "images" / "b.png")
    assert portraits(data) == 1
    assert f"error: {damaged}: the picture does not decode" in capsys.readouterr().err
    damaged.unlink()
    assert portraits(data) == 1
    assert f"error: cannot read {damaged}" in capsys.readouterr().err


def test_a_missing_folder_an_unknown_emotion_and_an_empty_table_are_named(data):
    with pytest.raises(TrainingError, match=r"labels\.csv"):
        list_portraits(data / "none")
    table = data / "portraits_4class" / "labels.csv"
    table.write_text("file,emotion\na.png,bored\n")
    with pytest.raises(TrainingError, match="bored"):
        list_portraits(data)
    table.write_text("file,emotion\n")
    with pytest.raises(TrainingError, match="names no picture"):
        list_portraits(data)

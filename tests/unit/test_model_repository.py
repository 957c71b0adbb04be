"""Scanning a model repository: good folders are offered, broken ones are reported and never raised."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fercore.inference.repository import scan_repository

SOURCE = Path(__file__).parent.parent / "model_repository"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE / "emotion_tiny", tmp_path / "emotion_tiny")
    return tmp_path


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))


def test_a_whole_folder_is_a_model(repository: Path) -> None:
    scan = scan_repository(repository)
    assert scan.broken == ()
    [model] = scan.models
    assert (model.name, model.folder, model.path) == ("tiny", "emotion_tiny", repository / "emotion_tiny")
    assert model.card.features_output


def test_models_come_in_order_of_name_and_only_emotion_folders_count(repository: Path) -> None:
    shutil.copytree(SOURCE / "emotion_slow", repository / "emotion_slow")
    shutil.copytree(SOURCE / "emotion_slow", repository / "face_yunet")
    (repository / "emotion_notes.txt").write_text("no folder")
    scan = scan_repository(repository)
    assert [model.name for model in scan.models] == ["slow", "tiny"]
    assert scan.broken == ()


def test_a_card_from_before_quality_bounds_is_judged_by_those_that_held_for_all(repository: Path) -> None:
    assert "quality_bounds" not in json.loads((repository / "emotion_tiny/card.json").read_text())
    [model] = scan_repository(repository).models
    bounds = {"min_size_px": 17.0, "max_blur": 0.67, "min_contrast": 0.023, "max_clipped": 0.6}
    assert model.card.quality_bounds.model_dump() == bounds


def test_a_card_brings_bounds_of_its_own(repository: Path) -> None:
    edit_card(repository / "emotion_tiny", quality_bounds={"min_size_px": 30, "max_blur": 1})
    [model] = scan_repository(repository).models
    assert (model.card.quality_bounds.min_size_px, model.card.quality_bounds.max_blur) == (30, 1)


def test_a_card_from_before_training_shares_states_none(repository: Path) -> None:
    assert "training_shares" not in json.loads((repository / "emotion_tiny/card.json").read_text())
    [model] = scan_repository(repository).models
    assert model.card.training_shares is None


def test_a_card_states_the_mix_that_it_was_calibrated_for(repository: Path) -> None:
    labels = json.loads((repository / "emotion_tiny/card.json").read_text())["labels"]
    shares = {label: 1 / len(labels) for label in labels}
    edit_card(repository / "emotion_tiny", training_shares=shares)
    [model] = scan_repository(repository).models
    assert model.card.shares_by_name() == shares


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda shares: {"neutral": 1.0}, "must name the labels, in their order"),
        (lambda shares: dict(reversed(shares.items())), "must name the labels, in their order"),
        (lambda shares: shares | {"neutral": shares["neutral"] / 2}, "must sum to 1"),
        (lambda shares: shares | {"neutral": 0}, "greater than 0"),
    ],
)
def test_training_shares_that_are_none_break_the_model(repository: Path, change, reason: str) -> None:
    labels = json.loads((repository / "emotion_tiny/card.json").read_text())["labels"]
    edit_card(
        repository / "emotion_tiny",
        training_shares=change({label: 1 / len(labels) for label in labels}),
    )
    scan = scan_repository(repository)
    assert scan.models == ()
    assert reason in scan.broken[0].reason


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda f: (f / "card.json").unlink(), "card.json is missing"),
        (lambda f: (f / "card.json").write_text("{"), "card.json is invalid: the file: Invalid JSON"),
        (lambda f: edit_card(f, temperature=0), "card.json is invalid: temperature: "),
        (
            lambda f: edit_card(f, quality_bounds={"max_blur": 2}),
            "card.json is invalid: quality_bounds.max_blur: ",
        ),
        (lambda f: edit_card(f, mood="good"), "card.json is invalid: mood: "),
        (lambda f: edit_card(f, name="other"), "card.json names the model 'other', the folder 'tiny'"),
        (lambda f: edit_card(f, version="2"), "2/model.onnx is missing"),
        (lambda f: (f / "1/model.onnx").unlink(), "1/model.onnx is missing"),
        (lambda f: (f / "1/model.onnx").write_bytes(b"other"), "the SHA-256 of 1/model.onnx is d9298a10d1b0"),
        (lambda f: (f / "config.pbtxt").unlink(), "config.pbtxt is missing"),
    ],
)
def test_a_broken_folder_is_reported_in_one_line(
    repository: Path, harm: Callable[[Path], object], reason: str
) -> None:
    shutil.copytree(SOURCE / "emotion_slow", repository / "emotion_slow")
    harm(repository / "emotion_tiny")
    scan = scan_repository(repository)
    assert [model.name for model in scan.models] == ["slow"]
    [broken] = scan.broken
    assert broken.folder == "emotion_tiny"
    assert broken.reason.startswith(reason)
    assert "\n" not in broken.reason


def test_a_repository_that_is_not_there_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan_repository(tmp_path / "nowhere")

"""Calibration under other mixes: what is drawn, what is corrected, and what is printed."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS
from fercore.inference.calibration import compute_log_weights, softmax
from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.config import DataConfig
from training.data.load import load_data
from training.errors import TrainingError
from training.measuring.calibrate import count_shares
from training.measuring.mixes import compute_classwise_error, draw_rows, measure_shift

THREE = EMOTIONS[:3]
MIX = {"neutral": 0.1, "happiness": 0.1, "surprise": 0.8}
TRAINED = (0.7, 0.2, 0.1)


def model_and_faces(rows: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """A model that is calibrated for `TRAINED` by construction: it knows how each label looks."""
    generator = np.random.default_rng(1)
    labels = generator.choice(3, rows, p=TRAINED)
    signals = np.eye(3)[labels] * 1.5 + generator.normal(size=(rows, 3))
    likelihoods = 1.5 * signals  # log N(s; 1.5 e_k, 1), but for what is the same for all k
    return (likelihoods + np.log(TRAINED)).astype(np.float32), labels.astype(np.int64)


def judge(logits: np.ndarray, is_corrected: bool) -> np.ndarray:
    weights = compute_log_weights(TRAINED, list(MIX.values()))
    return softmax(logits, 1, weights if is_corrected else None)


def test_rows_are_drawn_as_the_mix_says():
    _, labels = model_and_faces()
    rows = draw_rows(labels, MIX, np.random.default_rng(0))
    shares = np.bincount(labels[rows], minlength=3) / len(labels)
    np.testing.assert_allclose(shares, list(MIX.values()), atol=0.02)
    none = draw_rows(labels, {"neutral": 0, "happiness": 1, "surprise": 0}, np.random.default_rng(0))
    assert set(labels[none]) == {1}


def test_a_label_that_nobody_shows_cannot_be_drawn():
    with pytest.raises(TrainingError, match="no face shows surprise"):
        draw_rows(np.array([0, 1]), MIX, np.random.default_rng(0))


def test_the_correction_makes_a_calibrated_model_calibrated_again_under_a_shift():
    logits, labels = model_and_faces()
    found = measure_shift(logits, labels, MIX, judge, resamples=20, seed=0)
    for name in ("expected_calibration_error", "classwise_calibration_error", "negative_log_likelihood"):
        before, after = found.before[name], found.after[name]
        assert after[0] < before[0]
        assert before[1] <= before[0] <= before[2]
    assert found.before["expected_calibration_error"][0] > 0.1
    assert found.after["expected_calibration_error"][0] < 0.04
    assert found.after["accuracy"][0] > found.before["accuracy"][0]
    assert measure_shift(logits, labels, MIX, judge, resamples=20, seed=0) == found, "the seed decides"


def test_the_classwise_error_sees_what_the_answered_emotion_hides():
    labels = np.array([0, 0, 1, 2])
    sure = np.eye(3)[labels]
    assert compute_classwise_error(sure, labels) == 0
    even = np.full((4, 3), 1 / 3)
    assert compute_classwise_error(even, labels) == pytest.approx((1 / 6 + 1 / 12 + 1 / 12) / 3)


def test_the_shares_of_a_card_are_those_of_the_faces_that_were_calibrated_on():
    assert count_shares(np.array([0, 0, 1, 2]), THREE) == dict(zip(THREE, (0.5, 0.25, 0.25), strict=True))
    assert count_shares(np.array([0, 0, 1]), THREE) is None


def trained_folder(fer: FerFolder, config_file: Path, tmp_path: Path) -> tuple[Path, Path]:
    data, runs, models = fer.write(), tmp_path / "runs", tmp_path / "models"
    assert main(["train", str(config_file), "--data", str(data), "--runs", str(runs)]) == 0
    assert main(["export", str(runs / "tiny"), "--data", str(data), "--repository", str(models)]) == 0
    return models / "emotion_tiny", data


def shares_of(folder: Path) -> Mapping[str, float] | None:
    card: dict[str, dict[str, float] | None] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return card["training_shares"]


def test_an_export_states_its_shares_and_the_command_measures_the_mixes(
    fer: FerFolder, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder, data = trained_folder(fer, config_file, tmp_path)
    faces = load_data(DataConfig(name="fer_plus"), data).splits["validation"]
    shares = shares_of(folder)
    assert shares == {
        str(name): share for name, share in (count_shares(faces.majority, EMOTIONS) or {}).items()
    }
    file = tmp_path / "mixes.json"
    arguments = ["mixes", str(folder), "--data", str(data), "--resamples", "5", "--json", str(file)]
    capsys.readouterr()
    assert main([*arguments, "--mix", "uniform", "--mix", "neutral:3,happiness:1"]) == 0
    printed = capsys.readouterr().out
    assert "70 faces of PublicTest, 5 draws, seed 0" in printed
    for line in ("uniform", "classwise calibration error", "neutral:3,happiness:1", "git commit: "):
        assert line in printed
    document = json.loads(file.read_text(encoding="utf-8"))
    assert [row["mix"] for row in document["mixes"]] == ["uniform", "neutral:3,happiness:1"]
    assert document["mixes"][1]["shares"]["neutral"] == 0.75
    assert len(document["mixes"][0]["after"]["accuracy"]) == 3
    assert main([*arguments, "--mix", "joy:1"]) == 1
    assert "'joy' is none of the emotions" in capsys.readouterr().err


def test_a_model_without_shares_is_one_clear_line(fer: FerFolder, capsys: pytest.CaptureFixture[str]):
    tiny = Path(__file__).parents[1] / "model_repository" / "emotion_tiny"
    assert main(["mixes", str(tiny), "--data", str(fer.write())]) == 1
    assert "states no training_shares: export it again" in capsys.readouterr().err

"""Faces are made worse step by step, and the bound stands where accuracy has fallen."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fercore.contracts.card import QualityBounds
from fercore.vision.crop import crop_whole
from fercore.vision.quality import assess
from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.measuring.degradations import DEGRADATIONS, choose_strictest, find_bound, overexpose
from training.measuring.models import read_card

PORTRAIT = Path(__file__).parent.parent.parent / "docs" / "images" / "astronaut.jpg"
FACE = np.asarray(
    cv2.resize(cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE)[60:156, 174:270], (48, 48)), np.uint8
)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_step_moves_the_measure_further_and_leaves_a_tile(name):
    degradation = DEGRADATIONS[name]
    measured = []
    for tile in (FACE, *(degradation.apply(FACE, step) for step in degradation.steps)):
        assert tile.dtype == np.uint8
        assert tile.shape[0] == tile.shape[1]
        crop = crop_whole(np.repeat(tile[:, :, None], 3, axis=2))
        measured.append(degradation.measure(assess(crop, size_px=len(tile), landmarks=None, points=None)))
    is_growing = name in {"blur", "clipped"}
    assert measured == sorted(measured, reverse=not is_growing)
    assert len(set(measured)) == len(measured)


def test_too_much_light_is_white():
    assert overexpose(np.array([[10, 100, 200]], np.uint8), 2).tolist() == [[20, 200, 255]]


def test_the_bound_is_where_accuracy_has_fallen_to_three_quarters():
    assert find_bound([48, 24, 12], [0.8, 0.7, 0.5]) == pytest.approx(18)
    assert find_bound([0.1, 0.2, 0.3], [0.8, 0.5, 0.1]) == pytest.approx(0.1 + 0.1 * 2 / 3)


def test_there_is_no_bound_where_accuracy_holds():
    assert find_bound([0, 1, 2], [0.8, 0.7, 0.61]) is None


def test_of_two_bounds_for_one_measure_the_stricter_counts_and_absent_ones_keep_their_default():
    found = [("min_contrast", 0.0224), ("min_contrast", 0.0251), ("max_blur", 0.637), ("max_blur", 0.64)]
    assert choose_strictest(found) == QualityBounds(min_contrast=0.025, max_blur=0.64)


def test_measured_bounds_become_those_of_the_card_and_of_its_variants(
    fer: FerFolder, config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data, models = str(fer.write()), tmp_path / "models"
    tiny = models / "emotion_tiny"
    assert main(["train", str(config_file), "--data", data, "--runs", str(tmp_path)]) == 0
    assert main(["export", str(tmp_path / "tiny"), "--data", data, "--repository", str(models)]) == 0
    before = read_card(tiny)
    assert before.quality_bounds == QualityBounds()

    bounds = iter([20.04, 0.5, 0.01, 0.03, None])
    monkeypatch.setattr("training.commands.quality.find_bound", lambda *_: next(bounds))
    assert main(["quality", str(tiny), "--tiles", "20", "--data", data, "--write"]) == 0
    after = read_card(tiny)
    assert after.quality_bounds == QualityBounds(min_size_px=20, max_blur=0.5, min_contrast=0.03)
    assert after.model_copy(update={"quality_bounds": QualityBounds()}) == before

    monkeypatch.setattr("training.exporting.variants.LEAST_AGREEMENT", 0.0)
    assert main(["variant", str(tiny), "--precision", "fp16", "--data", data]) == 0
    assert read_card(models / "emotion_tiny_fp16").quality_bounds == after.quality_bounds

"""Optional preprocessing: the numbers of OpenCV and scikit-learn, in training and in the exported graph."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.decomposition import PCA

from tests.training.architecture_case import random_crops
from tests.training.test_runs import best_weights, changed, figures, one_line_error, train
from training.config import PreprocessingConfig
from training.errors import TrainingError
from training.exporting.onnx import to_onnx
from training.learning.run_folder import load_run
from training.measuring import graphs
from training.networks.contrast import Clahe, Equalised, Thresholded
from training.networks.pca import Components

FIT = {"epochs": 2, "batch_size": 16, "threads": 1}


def make_images(side: int) -> np.ndarray:
    """Grey uint8 [n, side, side]: smooth, noisy, dark, bright, of two levels and of one."""
    random = np.random.default_rng(3)
    smooth = cv2.GaussianBlur(random.integers(0, 256, (side, side)).astype(np.uint8), (0, 0), 3)
    noisy = random.integers(0, 256, (side, side), dtype=np.uint8)
    ramp = np.tile(np.linspace(0, 255, side).astype(np.uint8), (side, 1))
    two = np.where(noisy > 99, 200, 30).astype(np.uint8)
    return np.stack([smooth, noisy, ramp, noisy // 8, 200 + noisy // 8, two, np.full_like(noisy, 77)])


def shown(module: torch.nn.Module, grey: np.ndarray) -> np.ndarray:
    return module(torch.from_numpy(grey).float()[:, None])[:, 0].numpy()


@pytest.mark.parametrize("side", [48, 112])
def test_equalised_levels_are_opencvs(side):
    grey = make_images(side)
    assert np.array_equal(shown(Equalised(), grey), np.stack([cv2.equalizeHist(one) for one in grey]))


@pytest.mark.parametrize(("side", "grid", "clip"), [(48, 4, 2.0), (48, 8, 40.0), (112, 8, 3.0), (64, 2, 0.5)])
def test_clahe_is_within_one_level_of_opencvs(side, grid, clip):
    grey = make_images(side)
    opencv = cv2.createCLAHE(clipLimit=clip, tileGridSize=(grid, grid))
    difference = np.abs(shown(Clahe(side, grid, clip), grey) - np.stack([opencv.apply(one) for one in grey]))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.005


@pytest.mark.parametrize(("window", "offset"), [(11, 2), (3, 0), (31, -5)])
def test_adaptive_threshold_is_opencvs(window, offset):
    grey = make_images(48)
    mean, binary = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY
    expected = [cv2.adaptiveThreshold(one, 255, mean, binary, window, offset) for one in grey]
    assert np.array_equal(shown(Thresholded(window, offset), grey), np.stack(expected))


def test_components_are_scikit_learns():
    faces = torch.from_numpy(np.random.default_rng(0).normal(size=(80, 1, 6, 6)).astype(np.float32))
    faces[:, :, 2] *= 9  # some directions stand out
    components = Components(36, 6)
    with pytest.raises(TrainingError, match="not known"):
        components(faces)
    components.find(faces, seed=0)
    pca = PCA(6, svd_solver="full").fit(faces.flatten(1).numpy())
    expected = pca.inverse_transform(pca.transform(faces.flatten(1).numpy())).reshape(faces.shape)
    np.testing.assert_allclose(components(faces).numpy(), expected, atol=0.02)
    torch.testing.assert_close(components(components(faces)), components(faces), atol=1e-4, rtol=1e-4)


CHOICES = {
    "equalised": {"contrast": "equalised"},
    "clahe_at_full_size": {"contrast": "clahe", "clahe": {"grid": 8, "clip": 3.0}, "size": 112},
    "threshold": {"contrast": "clahe", "threshold": {"window": 9, "offset": 3}},
    "components": {"components": 12},
    "colour_components": {"components": 12, "colour": "rgb", "size": 32},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_runs_are_repeatable_and_their_graphs_answer_as_torch_does(fer, config_file, tmp_path: Path, choice):
    data = fer.write()
    if choice == "colour_components":
        config_file = changed(config_file, architecture={
            "name": "timm_net", "options": {"model": "mobilenetv2_035", "channels": 3},
        })  # fmt: skip
    config = changed(config_file, preprocessing=CHOICES[choice], fit=FIT)
    for runs in ("a", "b"):
        assert train(config, data, tmp_path / runs) == 0
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    _, servable = load_run(tmp_path / "a" / "tiny")
    crops = random_crops(5)
    folder = tmp_path / "emotion_a"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(to_onnx(servable))
    torch_logits = graphs.run_torch(servable, crops)
    np.testing.assert_allclose(graphs.run_folder(folder, crops), torch_logits, atol=1e-4)
    assert not np.allclose(torch_logits[0], torch_logits[1], atol=1e-6)


def test_a_resumed_run_keeps_its_components(fer, config_file, tmp_path, monkeypatch):
    data = fer.write()
    short = changed(config_file, preprocessing={"components": 8}, fit=FIT)
    assert train(short, data, tmp_path) == 0
    kept = (tmp_path / "tiny" / "preprocessing.pt").read_bytes()
    weights = best_weights(tmp_path)
    monkeypatch.setattr(Components, "find", lambda *_: pytest.fail("found anew"))
    assert train(short, data, tmp_path, "--resume") == 0
    assert (tmp_path / "tiny" / "preprocessing.pt").read_bytes() == kept
    assert torch.equal(best_weights(tmp_path)["head.bias"], weights["head.bias"])


def test_more_components_than_faces_are_refused(fer, config_file, tmp_path, capsys):
    assert train(changed(config_file, preprocessing={"components": 65}), fer.write(), tmp_path) == 1
    assert "65 components" in one_line_error(capsys)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"contrast": "clahe", "clahe": {"grid": 5}}, "multiple"),
        ({"threshold": {"window": 4}}, "odd"),
        ({"contrast": "equalised", "colour": "rgb"}, "grey"),
    ],
)
def test_preprocessing_that_does_not_fit_is_refused(choice, message):
    with pytest.raises(ValidationError, match=message):
        PreprocessingConfig.model_validate(choice)


def test_preprocessing_without_choices_keeps_its_json():
    assert set(PreprocessingConfig().model_dump()) == {"size", "mean", "std"}

"""What is shipped is as good as the documents say, where the data is at hand to measure it again."""

import json
import re
from pathlib import Path

import pytest

from fercore.contracts.defaults import DEFAULT_DETECTOR, DEFAULT_MODEL
from tests.support.requires import data_folder
from training.__main__ import main

TRIES = 3
MODELS = Path(__file__).parents[2] / "model_repository"


def test_the_default_model_answers_the_test_faces_as_promised(tmp_path: Path):
    data, found = data_folder("fer2013").parent, tmp_path / "found.json"
    model = MODELS / f"emotion_{DEFAULT_MODEL}"
    wanted = ["evaluate", str(model), "--split", "test", "--resamples", "0", "--json", str(found)]
    assert main([*wanted, "--data", str(data)]) == 0
    figures = json.loads(found.read_text(encoding="utf-8"))["subsets"]["all"]
    assert figures["rows"] == 3153
    assert figures["accuracy"] >= 0.865
    assert min(figures["balanced_accuracy"], figures["macro_f1"]) >= 0.65
    assert figures["expected_calibration_error"] <= 0.03
    assert sum(file.stat().st_size for file in model.rglob("*.onnx")) <= 6e6


def test_a_prior_keeps_the_default_model_calibrated_under_other_mixes_as_documented(tmp_path: Path):
    data, found = data_folder("fer2013").parent, tmp_path / "found.json"
    model = str(MODELS / f"emotion_{DEFAULT_MODEL}")
    assert main(["mixes", model, "--resamples", "20", "--json", str(found), "--data", str(data)]) == 0
    mixes = json.loads(found.read_text(encoding="utf-8"))["mixes"]
    assert len(mixes) == 3
    for mix in mixes:
        before, after = mix["before"], mix["after"]
        assert after["accuracy"][0] > before["accuracy"][0]
        assert after["classwise_calibration_error"][0] < before["classwise_calibration_error"][0]
    (uniform,) = [mix for mix in mixes if mix["mix"] == "uniform"]
    errors = [uniform[side]["expected_calibration_error"][0] for side in ("before", "after")]
    assert errors[1] < 0.6 * errors[0]


def test_the_default_model_and_detector_answer_portraits_as_promised(capsys: pytest.CaptureFixture[str]):
    data = data_folder("portraits_4class").parent
    model, detector = str(MODELS / f"emotion_{DEFAULT_MODEL}"), DEFAULT_DETECTOR
    wanted = ["portraits", model, "--detector", detector, "--repository", str(MODELS), "--data", str(data)]
    assert main(wanted) == 0
    printed = capsys.readouterr().out
    (of_all,) = re.findall(r"over all ([\d.]+)", printed)
    assert float(of_all) >= 0.82
    recalls = [float(recall) for recall in re.findall(r"recall ([\d.]+)", printed)]
    assert len(recalls) == 4
    assert min(recalls) >= 0.65


def test_the_default_model_takes_no_longer_than_mobilenetv2(capsys: pytest.CaptureFixture[str]):
    model = str(MODELS / f"emotion_{DEFAULT_MODEL}")
    ratios: list[float] = []
    while len(ratios) < TRIES and min(ratios, default=2.0) > 1:  # other work can slow one more than the other
        assert main(["time", model, "--runs", "100"]) == 0
        ratios.append(float(re.findall(r"([\d.]+)x$", capsys.readouterr().out, re.MULTILINE)[1]))
    assert min(ratios) <= 1, ratios


def test_the_default_detector_finds_what_is_promised(tmp_path: Path):
    data = data_folder("wider_val").parent
    wanted = ["evaluate-detector", DEFAULT_DETECTOR, "--report", str(tmp_path), "--repository", str(MODELS)]
    assert main([*wanted, "--data", str(data)]) == 0
    (report,) = tmp_path.glob("*.json")
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert figures["faces"]["40"]["average_precision"] >= 0.85
    assert figures["faces"]["20"]["average_precision"] >= 0.72
    weights = MODELS / f"detector_{DEFAULT_DETECTOR}" / "model.onnx"
    assert weights.stat().st_size <= 1.5e6

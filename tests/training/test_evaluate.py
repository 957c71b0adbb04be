"""The command `evaluate` on files, its report, and folding to a data set's labels."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from fercore.contracts.emotions import EMOTIONS, Emotion
from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.errors import TrainingError
from training.measuring.evaluate import fold

SEVEN = EMOTIONS[:-1]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def data(fer: FerFolder) -> Path:
    for row, label in enumerate(fer.labels):
        label["emotion"] = row % 7
    return fer.write()


@pytest.fixture
def folder(data: Path, config_file: Path, tmp_path: Path) -> Path:
    """A model folder trained for an epoch on FER+."""
    content = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    content["fit"] |= {"epochs": 1}
    config_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    runs, models = tmp_path / "runs", tmp_path / "models"
    assert main(["train", str(config_file), "--data", str(data), "--runs", str(runs)]) == 0
    assert main(["export", str(runs / "tiny"), "--data", str(data), "--repository", str(models)]) == 0
    return models / "emotion_tiny"


def evaluate(model: Path, data: Path, file: Path, *more: str) -> dict[str, Any]:
    arguments = ["evaluate", str(model), "--data", str(data), "--json", str(file), "--resamples", "30", *more]
    assert main(arguments) == 0
    return json.loads(file.read_text(encoding="utf-8"))


def test_a_graph_in_its_folder_is_measured_as_the_folder_is(folder, data, tmp_path):
    whole = evaluate(folder, data, tmp_path / "a.json")
    graph = evaluate(folder / "1" / "model.onnx", data, tmp_path / "b.json")
    assert graph["subsets"] == whole["subsets"]
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert graph["temperature"] == whole["temperature"] == card["temperature"] != 1.0
    assert whole["command"].startswith(f"python -m training evaluate {folder}")
    assert {"date", "machine", "git_commit", "resamples", "seed", "data", "split"} <= set(whole)


def test_a_graph_alone_is_measured_without_temperature(folder, data, tmp_path):
    alone = tmp_path / "elsewhere" / "else.onnx"
    alone.parent.mkdir()
    shutil.copy(folder / "1" / "model.onnx", alone)
    figures = evaluate(alone, data, tmp_path / "a.json")
    assert figures["temperature"] == 1.0
    assert figures["data"] == "fer_plus"
    assert figures["subsets"]["all"]["rows"] == 70


def test_a_prior_corrects_the_answers_of_run_and_folder_and_is_named_in_the_figures(
    folder, data, tmp_path, capsys
):
    prior = "neutral:1,happiness:1"
    found = {}
    for model in (folder, tmp_path / "runs" / "tiny"):
        trained = evaluate(model, data, tmp_path / "a.json")
        assert (trained["prior"], trained["expected_shares"]) == ("training", None)
        figures = evaluate(
            model, data, tmp_path / "b.json", "--prior", prior, "--report", str(tmp_path / "r")
        )
        assert figures["prior"] == prior
        assert figures["expected_shares"] == {
            emotion: 0.5 if emotion in ("neutral", "happiness") else 0 for emotion in EMOTIONS
        }
        answered = np.array(figures["subsets"]["all"]["confusion"]).sum(axis=0)
        assert answered[:2].sum() == answered.sum() == 70, "what is not expected is never answered"
        assert "prior neutral:1,happiness:1: neutral 0.5000, happiness 0.5000, surprise 0.0000" in (
            capsys.readouterr().out
        )
        page = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
        assert "neutral:1,happiness:1 (neutral 0.5000, happiness 0.5000" in page
        found[model] = figures["subsets"]
    assert found[folder]["all"]["rows"] == 70


def test_a_wrong_prior_and_a_model_that_has_none_are_one_clear_line(folder, data, tmp_path, capsys):
    arguments = ["evaluate", str(folder), "--data", str(data), "--resamples", "0", "--prior"]
    assert main([*arguments, "anger:-1"]) == 1
    assert "error: --prior anger:-1: the share of anger is negative" in capsys.readouterr().err
    assert main([*arguments, "auto"]) == 1
    assert "error: --prior auto: must be training, uniform" in capsys.readouterr().err
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps(card | {"training_shares": None}), encoding="utf-8")
    assert main([*arguments, "uniform"]) == 1
    assert "the model states no training_shares" in capsys.readouterr().err


def test_a_file_that_is_no_graph_of_the_contract_is_one_clear_line(folder, data, tmp_path, capsys):
    broken, seven = tmp_path / "x" / "broken.onnx", tmp_path / "x" / "seven.onnx"
    broken.parent.mkdir()
    broken.write_bytes(b"abc")
    model = onnx.load_model(folder / "1" / "model.onnx")
    next(o for o in model.graph.output if o.name == "logits").type.tensor_type.shape.dim[1].dim_value = 7
    onnx.save_model(model, seven)
    for file, message in (
        (broken, "not an ONNX graph"),
        (seven, "no card"),
        (tmp_path / "y.onnx", "no file"),
    ):
        assert main(["evaluate", str(file), "--data", str(data)]) == 1
        assert message in capsys.readouterr().err


def test_another_data_set_is_measured_on_its_own_labels(folder, data, tmp_path, capsys):
    figures = evaluate(folder, data, tmp_path / "a.json", "--dataset", "fer2013", "--split", "test")
    assert figures["labels"] == [emotion.value for emotion in SEVEN]
    assert figures["model_labels"] == [emotion.value for emotion in EMOTIONS]
    assert len(figures["subsets"]["all"]["confusion"]) == 7
    for name, message in (("nothing", "no data set"), ("No Name", "--dataset")):
        assert main(["evaluate", str(folder), "--data", str(data), "--dataset", name]) == 1
        assert message in capsys.readouterr().err


def test_figures_have_intervals_under_the_same_names_or_none_at_all(folder, data, tmp_path):
    subset = evaluate(folder, data, tmp_path / "a.json")["subsets"]["all"]
    assert set(subset["intervals"]) == set(subset) - {"rows", "confusion", "intervals"}
    low, high = subset["intervals"]["accuracy"]
    assert low <= subset["accuracy"] <= high
    plain = evaluate(folder, data, tmp_path / "a.json", "--resamples", "0")["subsets"]["all"]
    assert "intervals" not in plain
    assert plain["accuracy"] == subset["accuracy"]


def test_the_report_is_whole_in_one_page_and_asks_for_nothing_outside(folder, data, tmp_path):
    report = tmp_path / "new" / "report"
    figures = evaluate(folder, data, tmp_path / "a.json", "--report", str(report))
    assert json.loads((report / "evaluation.json").read_text(encoding="utf-8")) == figures
    names = {f"faces-{name}.png" for name in ("confusion", "classes", "roc", "reliability")}
    assert {path.name for path in report.iterdir()} == names | {"index.html", "evaluation.json"}
    assert all((report / name).read_bytes().startswith(PNG) for name in names)
    page = (report / "index.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 4
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,)|url\(|@import|<script', page)
    assert f"{figures['subsets']['all']['accuracy']:.4f}" in page
    assert evaluate(folder, data, tmp_path / "b.json", "--report", str(report), "--resamples", "0")


def test_a_report_that_cannot_be_written_is_one_clear_line(folder, data, tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    arguments = ["--data", str(data), "--report", str(tmp_path / "file"), "--resamples", "0"]
    assert main(["evaluate", str(folder), *arguments]) == 1
    assert f"error: {tmp_path / 'file'}: File exists" in capsys.readouterr().err


def test_folding_keeps_the_shares_among_the_labels_that_are_left():
    known, wanted = EMOTIONS[:3], (EMOTIONS[0], EMOTIONS[2])
    folded = fold(np.array([[0.5, 0.4, 0.1], [0.0, 1.0, 0.0]]), known, wanted)
    np.testing.assert_allclose(folded, [[0.5 / 0.6, 0.1 / 0.6], [0.5, 0.5]])
    with pytest.raises(TrainingError, match="does not know contempt"):
        fold(np.full((1, 7), 1 / 7), SEVEN, (*SEVEN, Emotion.CONTEMPT))

"""A data set of seven labels from training to a served folder and its figures."""

import json
from pathlib import Path

import onnx
import pytest
import yaml

from fercore.contracts.emotions import EMOTIONS
from fercore.inference.repository import scan_repository
from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.learning import run_folder

SEVEN = EMOTIONS[:-1]


@pytest.fixture
def data(fer: FerFolder) -> Path:
    """FER2013 with its own seven labels, all of them in every split."""
    for row, label in enumerate(fer.labels):
        label["emotion"] = row % 7
    return fer.write()


@pytest.fixture
def run(data: Path, config_file: Path, tmp_path: Path) -> Path:
    content = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    config_file.write_text(yaml.safe_dump(content | {"data": {"name": "fer2013"}}), encoding="utf-8")
    assert main(["train", str(config_file), "--data", str(data), "--runs", str(tmp_path / "runs")]) == 0
    return tmp_path / "runs" / "tiny"


def export(run: Path, data: Path, repository: Path) -> int:
    return main(["export", str(run), "--data", str(data), "--repository", str(repository), "--report-test"])


def test_seven_labels_are_seven_logits_in_graph_card_and_triton_config(run, data, tmp_path):
    assert run_folder.load_labels(run) == SEVEN
    assert export(run, data, tmp_path / "models") == 0
    scan = scan_repository(tmp_path / "models")
    assert scan.broken == ()
    (model,) = scan.models
    assert model.card.labels == SEVEN
    graph = onnx.load_model(model.path / "1" / "model.onnx")
    sizes = {o.name: o.type.tensor_type.shape.dim[1].dim_value for o in graph.graph.output}
    assert sizes["logits"] == 7
    assert 'name: "logits" data_type: TYPE_FP32 dims: [7]' in (model.path / "config.pbtxt").read_text("utf-8")


def test_run_and_folder_are_measured_on_seven_labels(run, data, tmp_path):
    assert export(run, data, tmp_path / "models") == 0
    confusions = []
    for number, model in enumerate((run, tmp_path / "models" / "emotion_tiny")):
        file = tmp_path / f"{number}.json"
        arguments = ["--data", str(data), "--json", str(file), "--split", "test", "--resamples", "10"]
        assert main(["evaluate", str(model), *arguments]) == 0
        figures = json.loads(file.read_text(encoding="utf-8"))
        assert figures["labels"] == [emotion.value for emotion in SEVEN]
        assert list(figures["subsets"]["all"]["recall"]) == figures["labels"]
        confusions.append(figures["subsets"]["all"]["confusion"])
    assert confusions[0] == confusions[1]
    assert len(confusions[0]) == 7


def test_a_model_of_seven_is_not_measured_on_eight(run, data, capsys):
    assert main(["evaluate", str(run), "--data", str(data), "--dataset", "fer_plus"]) == 1
    assert "does not know contempt" in capsys.readouterr().err


def test_an_export_with_other_labels_than_the_data_set_is_refused(run, data, tmp_path, capsys):
    provenance = json.loads((run / run_folder.PROVENANCE).read_text(encoding="utf-8"))
    provenance["labels"] = ["surprise", *provenance["labels"][:2], *provenance["labels"][3:]]
    (run / run_folder.PROVENANCE).write_text(json.dumps(provenance), encoding="utf-8")
    assert export(run, data, tmp_path / "models") == 1
    assert "other labels" in capsys.readouterr().err


def test_runs_made_before_labels_were_written_down_know_all_eight(run):
    provenance = json.loads((run / run_folder.PROVENANCE).read_text(encoding="utf-8"))
    del provenance["labels"]
    (run / run_folder.PROVENANCE).write_text(json.dumps(provenance), encoding="utf-8")
    assert run_folder.load_labels(run) == EMOTIONS

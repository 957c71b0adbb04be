"""From a run to a served folder: the tensor contract, parity, the card, and nothing half-written."""

import json
import resource
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fercore.contracts.emotions import EMOTIONS
from fercore.inference.repository import scan_repository
from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.data.load import load_data
from training.errors import TrainingError
from training.exporting import export as exporting
from training.exporting.export import Export, write_model
from training.exporting.onnx import to_onnx
from training.learning.run_folder import load_run
from training.measuring import graphs


@pytest.fixture
def data(fer: FerFolder) -> Path:
    return fer.write()


@pytest.fixture
def run(data: Path, config_file: Path, tmp_path: Path) -> Path:
    assert main(["train", str(config_file), "--data", str(data), "--runs", str(tmp_path / "runs")]) == 0
    return tmp_path / "runs" / "tiny"


def export(run: Path, data: Path, repository: Path, *more: str) -> int:
    return main(["export", str(run), "--data", str(data), "--repository", str(repository), *more])


def test_an_export_is_a_model_that_the_repository_offers(run, data, tmp_path):
    repository = tmp_path / "models"
    assert export(run, data, repository, "--name", "other") == 0
    scan = scan_repository(repository)
    assert scan.broken == ()
    (model,) = scan.models
    assert model.name == "other"
    assert [path.name for path in repository.iterdir()] == ["emotion_other"]
    assert {metric.measured_on.split(",")[0] for metric in model.card.metrics} == {"fer_plus PublicTest"}
    assert {"accuracy", "balanced_accuracy", "macro_f1"} < {metric.name for metric in model.card.metrics}
    assert model.card.training_config["seed"] == 3
    config = (model.path / "config.pbtxt").read_text(encoding="utf-8")
    for line in ('name: "emotion_other"', 'backend: "onnxruntime"', "max_batch_size: 64", "[112, 112, 3]"):
        assert line in config


def test_the_test_split_is_measured_only_when_asked_for(run, data, tmp_path):
    assert export(run, data, tmp_path / "models", "--report-test") == 0
    (model,) = scan_repository(tmp_path / "models").models
    accuracy = [m for m in model.card.metrics if m.name == "accuracy" and "PrivateTest, 30 " in m.measured_on]
    assert {metric.measured_on for metric in accuracy} == {
        f"fer_plus PrivateTest, 30 majority rows ({rows})" for rows in ("all", "without_either")
    }
    measuring = (
        f"python -m training evaluate {tmp_path / 'models' / 'emotion_tiny'} --split test --data {data}"
    )
    assert accuracy[0].command == measuring


def test_the_commands_in_the_card_can_be_run_and_give_its_figures(run, data, tmp_path, capsys):
    assert export(run, data, tmp_path / "models", "--name", "other", "--report-test") == 0
    (model,) = scan_repository(tmp_path / "models").models
    commands = {metric.command for metric in model.card.metrics}
    assert len(commands) == 3
    for command in commands:
        capsys.readouterr()
        python, m, training, *arguments = shlex.split(command)
        assert (python, m, training) == ("python", "-m", "training")
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        for metric in model.card.metrics:
            assert metric.command != command or f"{metric.value:.4f}" in printed


@pytest.mark.parametrize(
    ("faulty", "field"),
    [({"sources": ()}, "data: "), ({"labels": tuple(reversed(EMOTIONS))}, "labels must be distinct")],
)
def test_a_card_with_an_empty_or_wrong_field_is_refused_and_nothing_written(
    run, data, tmp_path, faulty, field
):
    config, servable = load_run(run)
    graph = to_onnx(servable)
    goal = Export("tiny", tmp_path / "models", ("validation",), made_by="by hand")
    faces = replace(load_data(config.data, data), **faulty)
    with pytest.raises(TrainingError, match=f"export refused: the card is not complete: .*{field}"):
        write_model(graph, lambda _: None, config, faces, goal)
    assert list((tmp_path / "models").iterdir()) == []
    unnamed = replace(goal, made_by="")
    with pytest.raises(TrainingError, match="command: String should have at least 1 character"):
        write_model(graph, lambda _: None, config, load_data(config.data, data), unnamed)


def test_a_disk_full_before_the_card_is_one_clear_line_and_leaves_the_old_model(
    run, data, tmp_path, monkeypatch, capsys
):
    repository = tmp_path / "models"
    assert export(run, data, repository) == 0
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    limits, check_parity = resource.getrlimit(resource.RLIMIT_FSIZE), exporting.check_parity

    def with_a_disk_full_after_the_check(*arguments):
        check_parity(*arguments)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))

    monkeypatch.setattr(exporting, "check_parity", with_a_disk_full_after_the_check)
    try:
        assert export(run, data, repository) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"error: {repository / 'emotion_tiny'} cannot be written: File too large"
    assert {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()} == before
    assert [path.name for path in repository.iterdir()] == ["emotion_tiny"]


def test_logits_are_adjusted_by_the_shares_of_the_training_labels(run, data, tmp_path):
    assert export(run, data, tmp_path / "models", "--name", "plain") == 0
    assert export(run, data, tmp_path / "models", "--name", "fair", "--logit-adjustment", "0.5") == 0
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    plain, fair = (
        graphs.run_folder(tmp_path / "models" / f"emotion_{name}", crops) for name in ("plain", "fair")
    )
    votes = load_data(load_run(run)[0].data, data).splits["train"].votes
    shares = (votes / votes.sum(axis=1, keepdims=True)).mean(axis=0).clip(min=1e-12)
    expected = np.broadcast_to(-0.5 * np.log(shares), plain.shape)
    np.testing.assert_allclose(fair - plain, expected, atol=1e-4)
    card = json.loads((tmp_path / "models" / "emotion_fair" / "card.json").read_text())
    assert "adjusted post hoc by 0.5" in card["description"]
    assert "--logit-adjustment 0.5" in card["metrics"][0]["command"]


def test_the_graph_keeps_the_tensor_contract(run, data, tmp_path):
    assert export(run, data, tmp_path / "models") == 0
    model = onnx.load_model(tmp_path / "models" / "emotion_tiny" / "1" / "model.onnx")
    assert model.ir_version <= 9
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [17]

    def signature(value: onnx.ValueInfoProto) -> tuple[str, int, list[object]]:
        tensor = value.type.tensor_type
        return value.name, tensor.elem_type, [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]

    assert [signature(value) for value in model.graph.input] == [
        ("face", onnx.TensorProto.UINT8, ["n", 112, 112, 3])
    ]
    assert [signature(value) for value in model.graph.output] == [
        ("logits", onnx.TensorProto.FLOAT, ["n", 8]),
        ("features", onnx.TensorProto.FLOAT, ["n", 8, 6, 6]),
    ]


@pytest.mark.parametrize("rows", [1, 3, 65])
def test_the_graph_answers_as_torch_does_for_any_batch(run, data, tmp_path, rows):
    assert export(run, data, tmp_path / "models") == 0
    crops = np.random.default_rng(1).integers(0, 256, (rows, 112, 112, 3), dtype=np.uint8)
    expected = graphs.run_torch(load_run(run)[1], crops)
    served = graphs.run_folder(tmp_path / "models" / "emotion_tiny", crops)
    np.testing.assert_allclose(served, expected, atol=1e-4)
    assert np.ptp(expected) > 0


def test_a_graph_that_answers_otherwise_is_refused_and_leaves_nothing(
    run, data, tmp_path, monkeypatch, capsys
):
    run_torch = graphs.run_torch
    monkeypatch.setattr(graphs, "run_torch", lambda *arguments: run_torch(*arguments) + np.float32(2e-4))
    assert export(run, data, tmp_path / "models") == 1
    assert "export refused" in capsys.readouterr().err
    assert list((tmp_path / "models").iterdir()) == []


def test_a_failed_export_leaves_the_old_model_as_it_was(run, data, tmp_path, monkeypatch):
    repository = tmp_path / "models"
    assert export(run, data, repository) == 0
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    run_torch = graphs.run_torch
    monkeypatch.setattr(graphs, "run_torch", lambda *arguments: run_torch(*arguments) * np.float32("nan"))
    assert export(run, data, repository) == 1
    assert {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()} == before
    monkeypatch.undo()
    assert export(run, data, repository, "--report-test") == 0
    card = repository / "emotion_tiny" / "card.json"
    assert card.read_bytes() != before[card]


@pytest.mark.parametrize("name", ["Upper", "a/b", ".."])
def test_a_name_that_is_no_folder_name_is_refused(run, data, tmp_path, capsys, name):
    assert export(run, data, tmp_path / "models", "--name", name) == 1
    assert "--name" in capsys.readouterr().err


def test_a_run_without_an_epoch_is_refused(tmp_path, data, capsys):
    assert export(tmp_path, data, tmp_path / "models") == 1
    assert "config.json" in capsys.readouterr().err


def test_evaluating_the_folder_and_the_run_gives_the_same_answers(run, data, tmp_path, capsys):
    assert export(run, data, tmp_path / "models") == 0
    reports = []
    for number, folder in enumerate((tmp_path / "models" / "emotion_tiny", run)):
        file = tmp_path / f"{number}.json"
        arguments = ["evaluate", str(folder), "--split", "test", "--data", str(data), "--json", str(file)]
        assert main(arguments) == 0
        reports.append(json.loads(file.read_text(encoding="utf-8"))["subsets"]["all"])
    assert reports[0]["rows"] == 30
    assert reports[0]["confusion"] == reports[1]["confusion"]
    assert "test, all: 30 rows" in capsys.readouterr().out


def test_evaluating_something_else_is_one_clear_line(tmp_path, data, capsys):
    assert main(["evaluate", str(tmp_path), "--data", str(data)]) == 1
    assert "neither a run nor a model folder" in capsys.readouterr().err
    (tmp_path / "card.json").write_text("{}", encoding="utf-8")
    assert main(["evaluate", str(tmp_path), "--data", str(data)]) == 1
    assert "not a model card" in capsys.readouterr().err


def test_preprocessing_is_grey_half_pixel_and_normalised(run):
    _, servable = load_run(run)
    crops = torch.zeros(1, 112, 112, 3, dtype=torch.uint8)
    crops[..., 1] = 255
    ramp = torch.arange(112, dtype=torch.uint8)[None, None, :, None].expand(1, 112, 112, 3)
    with torch.no_grad():
        green, ramped = servable.preprocessing(crops), servable.preprocessing(ramp)
    assert green.shape == (1, 1, 48, 48)
    torch.testing.assert_close(green, torch.full_like(green, (0.587 - 0.5) / 0.25))
    # output pixel u shows source position (u + 0.5) * 112 / 48 - 0.5
    expected = ((torch.arange(48) + 0.5) * 112 / 48 - 0.5) / 255
    torch.testing.assert_close(ramped[0, 0, 7], (expected - 0.5) / 0.25, atol=1e-4, rtol=0)

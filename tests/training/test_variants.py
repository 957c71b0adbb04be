"""INT8 and FP16 variants: the same contract, nearly the same answers, or nothing at all."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from fercore.inference.repository import scan_repository
from tests.training.tiny_fer import FerFolder
from training import variants
from training.__main__ import main

SHIPPED = Path("model_repository/emotion_cnn3/1/model.onnx")


@pytest.fixture
def data(fer: FerFolder) -> Path:
    return fer.write()


@pytest.fixture
def repository(data: Path, config_file: Path, tmp_path: Path) -> Path:
    """A repository with the FP32 model `tiny`."""
    assert main(["train", str(config_file), "--data", str(data), "--runs", str(tmp_path / "runs")]) == 0
    run, repository = str(tmp_path / "runs" / "tiny"), tmp_path / "models"
    assert main(["export", run, "--data", str(data), "--repository", str(repository)]) == 0
    return repository


def variant(repository: Path, data: Path, *more: str) -> int:
    return main(["variant", str(repository / "emotion_tiny"), "--data", str(data), *more])


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_variant_is_one_more_model_of_the_same_contract(repository, data, monkeypatch, precision, capsys):
    monkeypatch.setattr(variants, "LEAST_AGREEMENT", 0.0)  # a net of three epochs answers by a hair
    assert variant(repository, data, "--precision", precision) == 0
    assert "one face" in capsys.readouterr().out
    scan = scan_repository(repository)
    assert scan.broken == ()
    original, made = scan.models
    assert (original.name, made.name) == ("tiny", f"tiny_{precision}")
    assert made.card.labels == original.card.labels
    assert made.card.training_config_sha256 == original.card.training_config_sha256
    assert made.card.description == f"{original.card.description}, {precision.upper()}"
    command = made.card.metrics[0].command
    assert command.startswith(f"python -m training variant {repository / 'emotion_tiny'} ")
    assert f"--precision {precision}" in command
    model = onnx.load_model(made.path / "1" / "model.onnx")
    assert model.ir_version <= 9
    assert max(opset.version for opset in model.opset_import if opset.domain == "") <= 18
    kinds = {initializer.data_type for initializer in model.graph.initializer}
    assert (onnx.TensorProto.INT8 if precision == "int8" else onnx.TensorProto.FLOAT16) in kinds
    session = ort.InferenceSession(made.path / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    faces = np.zeros((3, 112, 112, 3), np.uint8)
    logits, features = session.run(["logits", "features"], {"face": faces})
    assert (logits.dtype, logits.shape) == (np.float32, (3, 8))
    assert features.dtype == np.float32


def test_a_variant_that_disagrees_is_refused_and_nothing_is_written(repository, data, monkeypatch, capsys):
    monkeypatch.setattr(variants, "LEAST_AGREEMENT", 1.01)
    assert variant(repository, data) == 1
    assert "variant refused" in capsys.readouterr().err
    assert [path.name for path in repository.iterdir()] == ["emotion_tiny"]


@pytest.mark.parametrize(("name", "reason"), [("../up", "only a-z"), ("tiny", "would replace")])
def test_a_name_that_is_no_folder_name_or_the_originals_is_refused(repository, data, capsys, name, reason):
    assert variant(repository, data, "--name", name) == 1
    assert reason in capsys.readouterr().err


def test_what_is_no_model_folder_is_named(repository, data, capsys):
    (repository / "emotion_tiny" / "config.pbtxt").unlink()
    assert variant(repository, data) == 1
    assert "config.pbtxt is missing" in capsys.readouterr().err


def test_the_shipped_model_in_int8_answers_nearly_the_same(tmp_path):
    rng = np.random.default_rng(0)
    blobs = rng.integers(0, 255, (96, 7, 7, 1), dtype=np.uint8).repeat(16, 1).repeat(16, 2).repeat(3, 3)
    quantised = tmp_path / "int8.onnx"
    quantised.write_bytes(variants.to_int8(SHIPPED, blobs))
    answers = [
        ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(["logits"], {"face": blobs})[0]
        for file in (SHIPPED, quantised)
    ]
    assert (answers[0].argmax(axis=1) == answers[1].argmax(axis=1)).mean() > 0.9
    assert quantised.stat().st_size < SHIPPED.stat().st_size / 3

"""INT8 and FP16 variants: the same contract, nearly the same answers, or nothing at all."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from fercore.inference.repository import scan_repository
from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.exporting import variants

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


def test_weights_of_7_bits_make_a_model_of_its_own_that_says_so(repository, data, monkeypatch):
    monkeypatch.setattr(variants, "LEAST_AGREEMENT", 0.0)
    assert variant(repository, data) == 0
    assert variant(repository, data, "--reduce-range") == 0
    models = {model.name: model for model in scan_repository(repository).models}
    assert list(models) == ["tiny", "tiny_int8", "tiny_int8_7bit"]
    full, reduced = models["tiny_int8"], models["tiny_int8_7bit"]
    assert full.card.description.endswith(", INT8")
    assert reduced.card.description.endswith(", INT8 with weights of 7 bits")
    largest = [
        max(int(np.abs(weights.astype(int)).max()) for weights in int8_weights(model.path / "1/model.onnx"))
        for model in (full, reduced)
    ]
    assert largest[0] > 64 >= largest[1]


def int8_weights(file: Path) -> list[np.ndarray]:
    model = onnx.load_model(file)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    quantised = [weights[node.input[0]] for node in model.graph.node if node.input[0] in weights]
    return [tensor for tensor in quantised if tensor.dtype == np.int8]


def test_only_int8_has_a_range_to_reduce(repository, data, capsys):
    assert variant(repository, data, "--reduce-range", "--precision", "fp16") == 1
    assert "--reduce-range is for INT8, not for FP16" in capsys.readouterr().err


def test_int8_is_qdq_of_unsigned_activations_and_signed_weights_a_channel():
    faces = np.random.default_rng(1).integers(0, 256, (64, 112, 112, 3), dtype=np.uint8)
    graph = onnx.load_model_from_string(variants.to_int8(SHIPPED, faces)).graph
    assert not [node.op_type for node in graph.node if "Integer" in node.op_type or "QLinear" in node.op_type]
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    activations = [stored[node.input[2]].dtype for node in graph.node if node.op_type == "QuantizeLinear"]
    assert set(activations) == {np.dtype(np.uint8)}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        seen, weights = (makers[name] for name in node.input[:2])
        assert (seen.op_type, weights.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert stored[seen.input[2]].dtype == np.uint8
        kernel, scales, zeros = (stored[name] for name in weights.input)
        assert kernel.dtype == zeros.dtype == np.int8
        assert scales.shape == (len(kernel),)
        assert not zeros.any()


def test_half_precision_answers_as_the_shipped_model_within_a_hundredth():
    faces = blobs()
    full, half = (logits_of(graph, faces) for graph in (SHIPPED.read_bytes(), variants.to_fp16(SHIPPED)))
    assert np.ptp(full) > 5
    np.testing.assert_allclose(half, full, atol=0.01)
    assert (half != full).any()


def test_a_variant_that_disagrees_is_refused_and_nothing_is_written(repository, data, monkeypatch, capsys):
    monkeypatch.setattr(variants, "LEAST_AGREEMENT", 1.01)
    assert variant(repository, data) == 1
    error = capsys.readouterr().err
    assert re.search(r"variant refused: \d+ of 70 labels are those of emotion_tiny, fewer than 101%;", error)
    assert re.search(r"accuracy 0\.\d{4} -> 0\.\d{4}$", error.strip())
    assert [path.name for path in repository.iterdir()] == ["emotion_tiny"]


@pytest.mark.parametrize(("name", "reason"), [("../up", "only a-z"), ("tiny", "would replace")])
def test_a_name_that_is_no_folder_name_or_the_originals_is_refused(repository, data, capsys, name, reason):
    assert variant(repository, data, "--name", name) == 1
    assert reason in capsys.readouterr().err


def test_what_is_no_model_folder_is_named(repository, data, capsys):
    (repository / "emotion_tiny" / "config.pbtxt").unlink()
    assert variant(repository, data) == 1
    assert "config.pbtxt is missing" in capsys.readouterr().err


def test_the_shipped_model_in_int8_answers_nearly_the_same():
    faces = blobs()
    quantised = variants.to_int8(SHIPPED, faces)
    answers = [logits_of(graph, faces).argmax(axis=1) for graph in (SHIPPED.read_bytes(), quantised)]
    assert (answers[0] == answers[1]).mean() > 0.9
    assert len(quantised) < SHIPPED.stat().st_size / 3


def blobs() -> np.ndarray:
    """Grey squares of any brightness: every face another, and none of them one."""
    random = np.random.default_rng(0)
    return random.integers(0, 255, (96, 7, 7, 1), dtype=np.uint8).repeat(16, 1).repeat(16, 2).repeat(3, 3)


def logits_of(graph: bytes, faces: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"face": faces})[0]

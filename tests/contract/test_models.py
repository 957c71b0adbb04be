"""Every model folder that is found keeps the tensor contract, and says so in its card."""

import hashlib
import re

import numpy as np
import onnxruntime as ort
import pytest

from fercore.contracts.card import FACE_SIZE, FEATURES_NAME, INPUT_NAME, LOGITS_NAME
from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.inference.calibration import softmax
from fercore.inference.repository import ModelFolder, scan_repository
from fercore.service.metrics import Metrics
from services.detector import detectors
from services.detector.core import DetectorCore
from tests.support.images import portrait_jpeg
from tests.support.options import default_options
from tests.support.requires import ROOT

SCAN = scan_repository(ROOT / "model_repository")


@pytest.fixture(scope="module", params=SCAN.models, ids=lambda model: model.name)
def model(request: pytest.FixtureRequest) -> ModelFolder:
    return request.param


@pytest.fixture(scope="module")
def session(model: ModelFolder) -> ort.InferenceSession:
    return ort.InferenceSession(
        model.path / model.card.version / "model.onnx", providers=["CPUExecutionProvider"]
    )


def test_no_committed_folder_is_broken():
    assert SCAN.broken == ()
    assert "cnn3" in [model.name for model in SCAN.models]


def test_the_graph_has_the_contracted_inputs_and_outputs(model, session):
    (face,) = session.get_inputs()
    assert (face.name, face.type) == (INPUT_NAME, "tensor(uint8)")
    assert face.shape[1:] == [FACE_SIZE, FACE_SIZE, 3]
    assert isinstance(face.shape[0], str), "the batch is dynamic"
    outputs = {output.name: output for output in session.get_outputs()}
    assert outputs[LOGITS_NAME].type == "tensor(float)"
    assert outputs[LOGITS_NAME].shape[1] == len(model.card.labels)
    assert (FEATURES_NAME in outputs) == model.card.features_output
    assert set(outputs) <= {LOGITS_NAME, FEATURES_NAME}


def test_the_card_is_true(model):
    graph = (model.path / model.card.version / "model.onnx").read_bytes()
    assert hashlib.sha256(graph).hexdigest() == model.card.sha256
    assert len(graph) < 6_000_000
    assert set(model.card.labels) <= set(EMOTIONS)
    assert any(
        metric.name == "accuracy" and "PrivateTest" in metric.measured_on for metric in model.card.metrics
    )


def test_the_card_states_the_mix_that_its_probabilities_are_calibrated_for(model):
    """The FER+ PublicTest rows with a majority, on which all shipped temperatures were fitted."""
    rows = (1182, 865, 415, 351, 287, 24, 62, 13)
    shares = dict(zip(EMOTIONS, (count / 3199 for count in rows), strict=True))
    assert model.card.training_shares == pytest.approx(shares, abs=1e-6)


def test_the_triton_configuration_fits_the_card(model):
    config = (model.path / "config.pbtxt").read_text()
    assert re.search(rf'name:\s*"{model.folder}"', config)
    assert re.search(r'backend:\s*"onnxruntime"', config)
    assert re.search(r"max_batch_size:\s*64", config)
    assert "intra_op_thread_count" in config
    assert "max_queue_delay" not in config


def test_a_batch_gives_what_single_faces_give(session):
    faces = np.random.default_rng(0).integers(0, 255, (5, FACE_SIZE, FACE_SIZE, 3), dtype=np.uint8)
    (together,) = session.run([LOGITS_NAME], {INPUT_NAME: faces})
    apart = [session.run([LOGITS_NAME], {INPUT_NAME: face[None]})[0][0] for face in faces]
    np.testing.assert_allclose(together, apart, atol=1e-3)


def test_the_portrait_is_happy(model, session):
    core = DetectorCore(detectors, model_repository=ROOT / "model_repository", threads=1, metrics=Metrics())
    found = core.analyze(portrait_jpeg(), default_options("haar"))
    core.close()
    (logits,) = session.run([LOGITS_NAME], {INPUT_NAME: found.crops})
    probabilities = softmax(logits, model.card.temperature)[0]
    assert model.card.labels[probabilities.argmax()] == Emotion.HAPPINESS
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)

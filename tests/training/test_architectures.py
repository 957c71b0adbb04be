"""Every file in training/architectures: it learns, and its graph keeps the tensor contract."""

import pkgutil

import numpy as np
import onnx
import pytest
import torch

import training.networks.architectures
from tests.training.architecture_case import CLASSES, Case, assert_alike, random_crops, serve, train_one_step
from training.config import ArchitectureConfig, PreprocessingConfig
from training.errors import TrainingError
from training.exporting.onnx import to_onnx
from training.networks.build import build_network

RGB = PreprocessingConfig(colour="rgb")
FOUND = [Case(module.name) for module in pkgutil.iter_modules(training.networks.architectures.__path__)]
CASES = [
    *FOUND,
    Case("cnn4", {"channels": 3, "blocks": [[4], [4, 8]], "dense": [], "batch_norm": False}, RGB),
    Case("patch_attention", {"channels": 3, "stage": 4, "kernels": [3], "patch_width": 8, "heads": 2}, RGB),
    Case("timm_net", {"channels": 3, "model": "mobilenetv2_100"}, RGB),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case.architecture}-{case.preprocessing.colour}")
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_a_network_gives_logits_and_a_feature_map(case):
    with torch.no_grad():
        logits, features = case.servable().eval()(torch.from_numpy(random_crops(2)))
    assert logits.shape == (2, CLASSES)
    assert logits.dtype == features.dtype == torch.float32
    assert features.ndim == 4
    assert len(features) == 2
    assert min(features.shape) > 0


def test_every_weight_of_a_network_learns(case):
    servable = case.servable()
    gradients = train_one_step(servable)
    silent = {name for name, _ in servable.named_parameters()} - gradients.keys()
    assert not silent
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients.values())
    assert any(bool(gradient.abs().max() > 0) for gradient in gradients.values())


def test_the_graph_of_a_network_keeps_the_tensor_contract(case, tmp_path):
    servable = case.servable()
    train_one_step(servable)
    graph = to_onnx(servable)
    model = onnx.load_model_from_string(graph)
    assert model.ir_version <= 9
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [17]
    for rows in (1, 3):
        crops = random_crops(rows)
        logits, features = serve(graph, crops, tmp_path / str(rows))
        with torch.no_grad():
            expected = [output.numpy() for output in servable.eval()(torch.from_numpy(crops))]
        assert_alike(logits, expected[0])
        assert_alike(features, expected[1])
        assert np.ptp(logits) > 0


def test_the_dense_layers_can_learn_from_a_last_batch_of_one_face():
    logits, _ = Case("cnn4").servable().train()(torch.from_numpy(random_crops(1)))
    assert bool(torch.isfinite(logits).all())


def test_colour_reaches_a_network_that_takes_it_and_no_other():
    red, blue = np.zeros((2, 1, 112, 112, 3), np.uint8)
    red[..., 0], blue[..., 2] = 76, 199  # the same luma, nearly
    for colour, channels, is_seen in (("grey", 1, False), ("rgb", 3, True)):
        options = {"channels": channels, "image_size": 16, "blocks": [[4]], "dense": []}
        servable = Case("cnn4", options, PreprocessingConfig(size=16, colour=colour)).servable().eval()
        with torch.no_grad():
            difference = (
                (servable(torch.from_numpy(red))[0] - servable(torch.from_numpy(blue))[0]).abs().max()
            )
        assert bool(difference > 1e-3) == is_seen


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("cnn4", {"width": 3}, "width"),
        ("cnn4", {"image_size": 16, "blocks": [[1]] * 5}, "leave nothing of 16 px"),
        ("patch_attention", {"kernels": [2]}, "odd"),
        ("patch_attention", {"heads": 5}, "heads must divide"),
        ("patch_attention", {"trunk": "mobilenet_v9"}, "timm has no network 'mobilenet_v9'; near: mobilenet"),
        ("timm_net", {"model": "resnet17"}, "timm has no network 'resnet17'"),
        ("timm_net", {"arguments": {"wings": 2}}, "timm cannot make resnet18"),
        ("timm_net", {"image_size": 48}, "timm cannot make resnet18"),
        ("timm_net", {"pretrained": True, "weights_file": "a.pth"}, "not both"),
    ],
)
def test_a_wrong_option_is_one_clear_line(architecture, options, message):
    with pytest.raises(TrainingError, match=message) as raised:
        build_network(ArchitectureConfig(name=architecture, options=options))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("architecture", ["cnn4", "timm_net"])
def test_faces_of_another_colour_than_the_network_takes_are_refused(architecture):
    with pytest.raises(TrainingError, match="disagree"):
        Case(architecture, {"channels": 3}).servable()(torch.from_numpy(random_crops(2)))

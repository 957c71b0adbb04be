"""The networks of timm: each published one by name, and weights to start from."""

import shutil
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from tests.training.architecture_case import CLASSES, Case, assert_alike, random_crops, serve, train_one_step
from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.config import ArchitectureConfig, PreprocessingConfig, load_config
from training.errors import TrainingError
from training.exporting.onnx import to_onnx
from training.measuring import graphs
from training.networks.build import build_initial, build_network

SHALLOW = {"embed_dim": 32, "depth": 2, "num_heads": 2}
PUBLISHED = {
    "vgg16_bn": (32, (512, 1, 1), {}),
    "resnet18": (32, (512, 1, 1), {}),
    "resnet50": (40, (2048, 2, 2), {}),
    "densenet121": (64, (1024, 2, 2), {}),
    "mobilenetv2_100": (40, (1280, 2, 2), {}),
    "tf_efficientnetv2_b0": (40, (1280, 2, 2), {}),
    "inception_v3": (75, (2048, 1, 1), {}),
    "vit_base_patch16_224": (48, (32, 3, 3), {"image_size": 48, "arguments": SHALLOW}),
    "vit_base_patch32_224": (96, (32, 3, 3), {"image_size": 96, "arguments": SHALLOW}),
}
CONFIGS = sorted(Path("training/configs").glob("*.yaml"))


@pytest.mark.parametrize("model", PUBLISHED)
def test_a_published_network_is_a_name_learns_and_answers_alike_as_a_graph(model, tmp_path):
    size, shape, options = PUBLISHED[model]
    servable = Case("timm_net", {"model": model, **options}, PreprocessingConfig(size=size)).servable()
    gradients = train_one_step(servable)
    assert len(gradients) == len(list(servable.parameters()))
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients.values())
    crops = random_crops(2)
    logits, features = serve(to_onnx(servable), crops, tmp_path)
    assert logits.shape == (2, CLASSES)
    assert features.shape == (2, *shape)
    assert_alike(logits, graphs.run_torch(servable, crops))


def test_every_published_network_has_a_config():
    named = {load_config(path).architecture.options.get("model") for path in CONFIGS}
    assert named >= PUBLISHED.keys()


def test_a_transformer_s_features_are_its_patches_in_their_places():
    options = {"model": "vit_base_patch16_224", "image_size": 48, "arguments": {**SHALLOW, "depth": 0}}
    servable = Case("timm_net", options, PreprocessingConfig(size=48)).servable().eval()
    crops = np.zeros((1, 112, 112, 3), np.uint8)
    plain = servable(torch.from_numpy(crops))[1]
    crops[:, 80:, 40:72] = 255  # within the last row and the middle column of the grid of three
    changed = (servable(torch.from_numpy(crops))[1] - plain).abs().amax(dim=(0, 1))
    assert (changed > 1e-3).nonzero().tolist() == [[2, 1]]


def test_faces_of_another_size_than_a_transformer_takes_are_refused():
    servable = Case("timm_net", {"model": "test_vit", "image_size": 96}).servable()
    with pytest.raises(TrainingError, match=r"built for 96 px, the faces have 48: preprocessing\.size"):
        servable(torch.from_numpy(random_crops(1)))
    with pytest.raises(TrainingError, match="built for 160 px"):
        Case("timm_net", {"model": "test_vit"}).servable()(torch.from_numpy(random_crops(1)))


def weights_of(model: str, channels: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(11)
    return timm.create_model(model, in_chans=channels).state_dict()


def write_weights(state: dict[str, torch.Tensor], file: Path) -> Path:
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    return file


def start(architecture: str = "timm_net", **options: object) -> torch.nn.Module:
    return build_initial(ArchitectureConfig(name=architecture, options=options), CLASSES).eval()


def trunk_weights(architecture: str = "timm_net", **options: object) -> dict[str, torch.Tensor]:
    return start(architecture, **options).get_submodule("trunk").state_dict()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_network_starts_from_a_file_of_a_thousand_classes(tmp_path, suffix):
    state = weights_of("test_resnet")
    file = write_weights(state, tmp_path / f"weights{suffix}")
    trunk = trunk_weights(model="test_resnet", weights_file=str(file), channels=3)
    assert trunk
    for name, weight in trunk.items():
        torch.testing.assert_close(weight, state[name], rtol=0, atol=0)


def test_weights_made_for_colour_see_grey_faces_as_they_see_them_in_three_equal_colours(tmp_path):
    file = str(write_weights(weights_of("test_efficientnet"), tmp_path / "weights.pth"))
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        one = start(model="test_efficientnet", weights_file=file)(grey)[1]
        three = start(model="test_efficientnet", weights_file=file, channels=3)(grey.expand(-1, 3, -1, -1))[1]
    torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-5)


def test_a_transformer_starts_from_weights_for_another_grid(tmp_path):
    state = weights_of("test_vit")
    file = write_weights(state, tmp_path / "weights.pth")
    trunk = trunk_weights(model="test_vit", weights_file=str(file), channels=3, image_size=96)
    assert trunk["pos_embed"].shape != state["pos_embed"].shape
    torch.testing.assert_close(trunk["blocks.0.attn.qkv.weight"], state["blocks.0.attn.qkv.weight"])


def test_the_trunk_of_the_patch_network_starts_from_a_file(tmp_path):
    state = weights_of("mobilenetv1_100")
    file = write_weights(state, tmp_path / "weights.safetensors")
    trunk = trunk_weights("patch_attention", weights_file=str(file), channels=3)
    torch.testing.assert_close(trunk["blocks.3.5.conv_pw.weight"], state["blocks.3.5.conv_pw.weight"])


def without(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read as weights"),
        (b"not weights at all", "cannot be read as weights"),
        ([1, 2, 3], "cannot be read as weights"),
        (lambda: weights_of("test_vit"), "does not fit the network: .* missing, conv1"),
        (lambda: without(weights_of("test_resnet"), "bn1.weight"), "1 of its .* missing, bn1.weight"),
        (lambda: weights_of("test_resnet", channels=5), "does not fit the network"),
        (lambda: weights_of("test_resnet") | {"bn1.weight": torch.ones(3)}, "size mismatch for bn1.weight"),
    ],
)
def test_a_wrong_weights_file_is_one_clear_line(tmp_path, content, message):
    file = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content() if callable(content) else content, file)
    with pytest.raises(TrainingError, match=message) as raised:
        start(model="test_resnet", weights_file=str(file))
    assert "\n" not in str(raised.value)
    assert str(file) in str(raised.value)


def test_weights_that_the_hub_does_not_give_are_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TrainingError, match="weights of test_resnet cannot be fetched") as raised:
        start(model="test_resnet", pretrained=True)
    assert "\n" not in str(raised.value)
    with pytest.raises(TrainingError, match="no pretrained weights for ghostnet_050"):
        start(model="ghostnet_050", pretrained=True)


def test_a_run_that_began_with_a_file_goes_on_and_is_exported_without_it(
    fer: FerFolder, config_file, tmp_path
):
    weights = tmp_path / "weights"
    weights.mkdir()
    file = write_weights(weights_of("test_resnet"), weights / "weights.pth")
    content = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    content["architecture"] = {
        "name": "timm_net",
        "options": {"model": "test_resnet", "weights_file": str(file)},
    }
    content["fit"]["epochs"] = 1
    config_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    places = ["--data", str(fer.write())]
    assert main(["train", str(config_file), *places, "--runs", str(tmp_path / "runs")]) == 0
    shutil.rmtree(weights)
    assert main(["train", str(config_file), *places, "--runs", str(tmp_path / "runs"), "--resume"]) == 0
    run = str(tmp_path / "runs" / "tiny")
    assert main(["export", run, *places, "--repository", str(tmp_path / "models")]) == 0
    assert isinstance(build_network(load_config(Path(run) / "config.json").architecture), torch.nn.Module)

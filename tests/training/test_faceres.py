"""The published weights of FaceRes become a network of timm's that computes the same and can be trained."""

import json
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name

from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.errors import TrainingError
from training.networks.faceres import CHANNEL_MEANS, FILE, read_faceres, recover_statistics
from training.networks.pretrained import Trunk

WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
HALVES = {2, 4, 6, 12}
"""Blocks that halve the map."""

MEAN, STD = 0.45, 0.3
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Random weights of the published names and shapes, height and width first as TensorFlow has them."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int, fan_in: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5

    found = {
        "conv1/convolution/merged_input": draw(3, 3, 3, 32, fan_in=27 * 3000),
        "conv1_bn/batchnorm_1/sub": draw(32, fan_in=4),
        "feats/kernel": draw(4, 2, fan_in=8),
    }
    for number, (width, wider) in enumerate(pairwise(WIDTHS), start=1):
        found |= {
            f"conv_dw_{number}/depthwise_kernel": draw(3, 3, width, 1, fan_in=9),
            f"conv_dw_{number}_bn/batchnorm_1/mul": draw(width, fan_in=4).abs() + 0.5,
            f"conv_dw_{number}_bn/batchnorm_1/sub": draw(width, fan_in=4),
            f"conv_pw_{number}/convolution/merged_input": draw(1, 1, width, wider, fan_in=width),
            f"conv_pw_{number}_bn/batchnorm_1/sub": draw(wider, fan_in=4),
        }
    return found


@pytest.fixture(scope="module")
def folder(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package, in its format."""
    folder = tmp_path_factory.mktemp("faceres")
    listed = [
        {"name": name, "shape": list(value.shape), "dtype": "float32"} for name, value in weights.items()
    ]
    listed.insert(1, {"name": "count", "shape": [], "dtype": "int32"})
    content = [value.numpy().tobytes() for value in weights.values()]
    content.insert(1, np.int32(7).tobytes())
    data = b"".join(content)
    (folder / "a.bin").write_bytes(data[:1_000_001])
    (folder / "b.bin").write_bytes(data[1_000_001:])
    manifest = [{"paths": ["a.bin", "b.bin"], "weights": listed}]
    (folder / FILE).write_text(json.dumps({"weightsManifest": manifest}), encoding="utf-8")
    return folder


def convolve(
    faces: torch.Tensor,
    kernel: torch.Tensor,
    stride: int,
    groups: int = 1,
    border: torch.Tensor | float = 0.0,
) -> torch.Tensor:
    """Convolve as TensorFlow does with padding SAME: of an odd number of pixels one more at the end."""
    side = kernel.shape[-1]
    total = max(0, (-(-faces.shape[-1] // stride) - 1) * stride + side - faces.shape[-1])
    padded = F.pad(faces - border, (total // 2, total - total // 2) * 2) + border
    return F.conv2d(padded, kernel, stride=stride, groups=groups)


def reference(weights: Weights, grey: torch.Tensor) -> torch.Tensor:
    """Compute the last map of grey faces in levels of 255, [n, 1, s, s], as the published graph does.

    All but the colour of the border of the first layer, where ours has the mean that is subtracted.
    """
    means = torch.tensor(CHANNEL_MEANS)[None, :, None, None]
    kernel = weights["conv1/convolution/merged_input"].permute(3, 2, 0, 1)
    bias = weights["conv1_bn/batchnorm_1/sub"][:, None, None]
    faces = grey.expand(-1, 3, -1, -1) - means
    found = (convolve(faces, kernel, 2, border=255 * MEAN - means) + bias).clamp(0, 6)
    for number in range(1, 14):
        kernel = weights[f"conv_dw_{number}/depthwise_kernel"].permute(2, 3, 0, 1)
        found = convolve(found, kernel, 2 if number in HALVES else 1, groups=found.shape[1])
        found = found * weights[f"conv_dw_{number}_bn/batchnorm_1/mul"][:, None, None]
        found = (found + weights[f"conv_dw_{number}_bn/batchnorm_1/sub"][:, None, None]).clamp(0, 6)
        kernel = weights[f"conv_pw_{number}/convolution/merged_input"].permute(3, 2, 0, 1)
        shift = weights[f"conv_pw_{number}_bn/batchnorm_1/sub"][:, None, None]
        found = (convolve(found, kernel, 1) + shift).clamp(0, 6)
    return found


def normalised(grey: torch.Tensor) -> torch.Tensor:
    return (grey / 255 - MEAN) / STD


@pytest.mark.parametrize("side", [64, 96])
def test_the_network_computes_what_the_published_graph_does(weights: Weights, folder: Path, side: int):
    network = read_faceres(folder, mean=MEAN, std=STD)
    grey = torch.randint(0, 256, (3, 1, side, side), generator=torch.Generator().manual_seed(1)).float()
    with torch.no_grad():
        found = cast("Trunk", network).forward_features(normalised(grey))
        torch.testing.assert_close(found, reference(weights, grey), atol=2e-3, rtol=1e-3)
    assert float(found.std()) > 0.1


def test_recovered_statistics_change_nothing_and_make_training_see_the_same(folder: Path):
    network = read_faceres(folder, mean=MEAN, std=STD)
    faces = torch.randn(32, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        before = network(faces)
        recover_statistics(network, faces)
        after = network(faces)
        trained = network.train()(faces)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(trained, before, atol=1e-2, rtol=1e-2)


def test_the_command_makes_a_file_that_a_config_starts_from(
    fer: FerFolder, folder: Path, tmp_path: Path, capsys
):
    data, out = str(fer.write()), tmp_path / "weights" / "start.pth"
    command = ["import-weights", str(folder), str(out), "--size", "64", "--faces", "32", "--data", data]
    assert main(command) == 0
    assert "32 faces of 64 px" in capsys.readouterr().out
    assert set(torch.load(out)) == set(read_faceres(folder, mean=0.5, std=0.25).state_dict())


def test_what_is_not_faceres_is_one_clear_line(folder: Path, tmp_path: Path):
    with pytest.raises(TrainingError, match=f"cannot read {tmp_path / FILE}"):
        read_faceres(tmp_path, mean=MEAN, std=STD)
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(TrainingError, match=r"no TensorFlow\.js graph model"):
        read_faceres(tmp_path, mean=MEAN, std=STD)
    (tmp_path / FILE).write_text(json.dumps({"weightsManifest": []}))
    with pytest.raises(TrainingError, match="is not FaceRes"):
        read_faceres(tmp_path, mean=MEAN, std=STD)
    (tmp_path / FILE).write_bytes((folder / FILE).read_bytes())
    (tmp_path / "a.bin").write_bytes(b"1234")
    (tmp_path / "b.bin").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"no TensorFlow\.js graph model"):
        read_faceres(tmp_path, mean=MEAN, std=STD)

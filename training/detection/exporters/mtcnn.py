"""The three networks of MTCNN (Zhang et al., IEEE Signal Processing Letters 23, 2016).

The plug-in `mtcnn` runs the cascade. Names are those of the public weights `pnet.pt`, `rnet.pt` and `onet.pt`
of facenet-pytorch.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn
from typing_extensions import override

from training.detection.exporting import INPUT, load_weights, read_weights, to_onnx

STAGES = ("pnet", "rnet", "onet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this exporter takes."""
    for stage in STAGES:
        parser.add_argument(stage, type=Path, help=f"weights of {stage}, such as {stage}.pt")


def export(options: argparse.Namespace) -> dict[str, bytes]:
    """Build `pnet.onnx`, `rnet.onnx` and `onet.onnx`.

    Raises:
        TrainingError: a file is not what it is named as.
    """
    return {f"{stage}.onnx": _export_stage(stage, read_weights(vars(options)[stage])) for stage in STAGES}


def _export_stage(stage: str, state: Mapping[str, Tensor]) -> bytes:
    network = load_weights(build(stage), state, stage)
    outputs = ["scores", "offsets", "landmarks"][: 3 if stage == "onet" else 2]
    if stage == "pnet":
        axes = {name: {2: "height", 3: "width"} for name in (INPUT, *outputs)}
        return to_onnx(network, [(1, 3, 12, 12), (1, 3, 95, 40), (1, 3, 33, 128)], outputs=outputs, axes=axes)
    side = {"rnet": 24, "onet": 48}[stage]
    axes = {name: {0: "n"} for name in (INPUT, *outputs)}
    return to_onnx(network, [(2, 3, side, side), (7, 3, side, side)], outputs=outputs, axes=axes)


def build(stage: str) -> nn.Module:
    """Build `pnet`, `rnet` or `onet` with fresh weights.

    It takes float32 [n, 3, h, w], RGB in [-1, 1]; it gives likelihoods of no face and face, offsets of the
    window's corners in parts of its sides and, at the last stage, x of five landmarks and then their y.
    """
    if stage == "pnet":
        trunk = _trunk([(3, 10, 3, 2), (10, 16, 3, 0), (16, 32, 3, 0)])
        return Stage(trunk, {"conv4_1": nn.Conv2d(32, 2, 1), "conv4_2": nn.Conv2d(32, 4, 1)})
    if stage == "rnet":
        trunk = _trunk([(3, 28, 3, 3), (28, 48, 3, 3), (48, 64, 2, 0)], dense=(576, 128))
        return Stage(trunk, {"dense5_1": nn.Linear(128, 2), "dense5_2": nn.Linear(128, 4)})
    trunk = _trunk([(3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, 0)], dense=(1152, 256))
    heads: dict[str, nn.Module] = {
        "dense6_1": nn.Linear(256, 2),
        "dense6_2": nn.Linear(256, 4),
        "dense6_3": nn.Linear(256, 10),
    }
    return Stage(trunk, heads)


class Stage(nn.Module):
    """Layers in a row, and heads on the last one, the first of which is a softmax of two."""

    def __init__(self, trunk: dict[str, nn.Module], heads: dict[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in (trunk | heads).items():
            self.add_module(name, layer)
        self._trunk, self._heads = tuple(trunk), tuple(heads)

    @override
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map windows to scores, offsets and landmarks."""
        for name in self._trunk:
            image = self.get_submodule(name)(image)
        logits, *others = (self.get_submodule(name)(image) for name in self._heads)
        return (logits.softmax(dim=1), *others)


class Columns(nn.Module):
    """Flatten maps as the weights want them: columns first, then rows, then channels."""

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """Map [n, c, h, w] to [n, w * h * c]."""
        return maps.permute(0, 3, 2, 1).flatten(1)


def _trunk(
    convolutions: Sequence[tuple[int, int, int, int]], dense: tuple[int, int] | None = None
) -> dict[str, nn.Module]:
    """Build the layers by name; a convolution is inputs, outputs, size, and the size of its pool or 0."""
    layers: dict[str, nn.Module] = {}
    for number, (inputs, outputs, size, pool) in enumerate(convolutions, 1):
        layers[f"conv{number}"] = nn.Conv2d(inputs, outputs, size)
        layers[f"prelu{number}"] = nn.PReLU(outputs)
        if pool:
            layers[f"pool{number}"] = nn.MaxPool2d(pool, 2, ceil_mode=True)
    if dense:
        number = len(convolutions) + 1
        layers["columns"] = Columns()
        layers[f"dense{number}"] = nn.Linear(*dense)
        layers[f"prelu{number}"] = nn.PReLU(dense[1])
    return layers

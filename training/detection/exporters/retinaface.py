"""RetinaFace (Deng et al., CVPR 2020) on MobileNet 0.25 or ResNet50, as public weights for PyTorch name it.

The plug-in `retinaface` decodes its outputs by the anchors' sizes in the graph's metadata. The weights are
those of Face-Detector-1MB-with-landmark and Pytorch_Retinaface; the two differ in anchors.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50
from torchvision.models._utils import IntermediateLayerGetter
from typing_extensions import override

from training.detection.exporting import INPUT, load_weights, read_weights, to_onnx

ANCHOR_SIDES = {"1mb": "10,20 32,64 128,256", "pytorch": "16,32 64,128 256,512"}
"""In pixels, for the strides 8, 16 and 32, by the weights' origin."""

SLOPES = {"1mb": 0.0, "pytorch": 0.1}
"""Of the activations below zero of a MobileNet, by origin too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this exporter takes."""
    parser.add_argument("weights", type=Path, help="such as mobilenet0.25_Final.pth or Resnet50_Final.pth")
    parser.add_argument(
        "--origin",
        choices=sorted(ANCHOR_SIDES),
        default="1mb",
        help="of a MobileNet: Face-Detector-1MB-with-landmark or Pytorch_Retinaface (default: %(default)s);"
        " their weights have the same names and shapes, but other anchors and activations",
    )


def export(options: argparse.Namespace) -> dict[str, bytes]:
    """Build `model.onnx`; the backbone is recognised by the names of the weights.

    Raises:
        TrainingError: they are not RetinaFace's.
    """
    state = {name.removeprefix("module."): weight for name, weight in read_weights(options.weights).items()}
    is_resnet = "body.layer4.0.conv1.weight" in state
    origin = "pytorch" if is_resnet else options.origin
    network = RetinaFace("resnet50") if is_resnet else RetinaFace("mobilenet", slope=SLOPES[origin])
    outputs = ["boxes", "scores", "landmarks"]
    graph = to_onnx(
        load_weights(network, state, "RetinaFace"),
        [(1, 3, 64, 96), (1, 3, 160, 128), (1, 3, 33, 75)],
        outputs=outputs,
        axes={INPUT: {2: "height", 3: "width"}} | {name: {1: "anchors"} for name in outputs},
        metadata={"anchor_sides": ANCHOR_SIDES[origin]},
    )
    return {"model.onnx": graph}


class RetinaFace(nn.Module):
    """The whole network; it takes float32 [1, 3, h, w], BGR less its means, of any size.

    Args:
        backbone: `mobilenet` or `resnet50`.
        slope: of the activations below zero.
    """

    def __init__(self, backbone: str, *, slope: float = 0.0) -> None:
        super().__init__()
        if backbone == "resnet50":
            layers = {"layer2": "1", "layer3": "2", "layer4": "3"}
            self.body: nn.Module = IntermediateLayerGetter(resnet50(weights=None), layers)
            channels, width = (512, 1024, 2048), 256
        else:
            self.body = MobileNet(slope)
            channels, width = (64, 128, 256), 64
        self.fpn = Pyramid(channels, width, slope)
        self.ssh1, self.ssh2, self.ssh3 = (Context(width, slope) for _ in channels)
        self.BboxHead = nn.ModuleList(Head(width, 4) for _ in channels)
        self.ClassHead = nn.ModuleList(Head(width, 2) for _ in channels)
        self.LandmarkHead = nn.ModuleList(Head(width, 10) for _ in channels)

    @override
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return offsets [1, k, 4], likelihoods of no face and of a face [1, k, 2], landmarks [1, k, 10]."""
        levels = self.fpn(list(self.body(image).values()))
        levels = [
            context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)
        ]
        boxes, classes, landmarks = (
            torch.cat([head(level) for head, level in zip(heads, levels, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, classes.softmax(dim=-1), landmarks


class MobileNet(nn.Module):
    """MobileNet v1 (Howard et al., 2017) at a quarter of its width, cut into three stages."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            nn.Sequential(*_convolution(3, 8, 3, stride=2, slope=slope)),
            _separable(8, 16, 1, slope),
            _separable(16, 32, 2, slope),
            _separable(32, 32, 1, slope),
            _separable(32, 64, 2, slope),
            _separable(64, 64, 1, slope),
        )
        self.stage2 = nn.Sequential(
            _separable(64, 128, 2, slope), *(_separable(128, 128, 1, slope) for _ in range(5))
        )
        self.stage3 = nn.Sequential(_separable(128, 256, 2, slope), _separable(256, 256, 1, slope))

    @override
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the maps at strides 8, 16 and 32."""
        first = self.stage1(image)
        second = self.stage2(first)
        return {"1": first, "2": second, "3": self.stage3(second)}


class Pyramid(nn.Module):
    """Three levels brought to one width, coarser ones added to finer ones (Lin et al., CVPR 2017)."""

    def __init__(self, channels: Sequence[int], width: int, slope: float) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (
            nn.Sequential(*_convolution(inputs, width, 1, slope=slope)) for inputs in channels
        )
        self.merge1, self.merge2 = (
            nn.Sequential(*_convolution(width, width, 3, slope=slope)) for _ in range(2)
        )

    @override
    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels, finest first."""
        fine, middle, coarse = (
            output(level)
            for output, level in zip((self.output1, self.output2, self.output3), maps, strict=True)
        )
        middle = self.merge2(middle + functional.interpolate(coarse, size=middle.shape[-2:]))
        fine = self.merge1(fine + functional.interpolate(middle, size=fine.shape[-2:]))
        return [fine, middle, coarse]


class Context(nn.Module):
    """Surroundings of 3, 5 and 7 pixels side by side (SSH, Najibi et al., ICCV 2017)."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = nn.Sequential(*_convolution(width, half, 3))
        self.conv5X5_1 = nn.Sequential(*_convolution(width, quarter, 3, slope=slope))
        self.conv5X5_2 = nn.Sequential(*_convolution(quarter, quarter, 3))
        self.conv7X7_2 = nn.Sequential(*_convolution(quarter, quarter, 3, slope=slope))
        self.conv7x7_3 = nn.Sequential(*_convolution(quarter, quarter, 3))

    @override
    def forward(self, level: Tensor) -> Tensor:
        """Keep the shape."""
        shared = self.conv5X5_1(level)
        parts = [self.conv3X3(level), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return torch.cat(parts, dim=1).relu()


class Head(nn.Module):
    """`numbers` outputs for each of the two anchors of a cell."""

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(width, 2 * numbers, 1)
        self.numbers = numbers

    @override
    def forward(self, level: Tensor) -> Tensor:
        """Map [1, c, h, w] to [1, h * w * 2, numbers], row by row."""
        cells: Tensor = self.conv1x1(level)
        return cells.permute(0, 2, 3, 1).reshape(1, -1, self.numbers)


def _convolution(
    inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1, slope: float | None = None
) -> list[nn.Module]:
    """Build a convolution, its normalisation and, where a slope is given, its activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return layers if slope is None else [*layers, nn.LeakyReLU(slope)]


def _separable(inputs: int, outputs: int, stride: int, slope: float) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(inputs, inputs, 3, stride=stride, groups=inputs, slope=slope),
        *_convolution(inputs, outputs, 1, slope=slope),
    )

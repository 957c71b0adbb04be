"""ferface: a single-shot, anchor-free face detector with five landmarks, small enough for a CPU.

In the manner of YuNet (Wu et al., 2023) and CenterFace (Xu et al., 2019): every cell of four maps gives
a score for a face's centre nearby, its box and its landmarks. Separable convolutions (Howard et al.,
2017) behind a dense stem, a top-down pyramid (Lin et al., CVPR 2017), and one head that all maps share.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from typing_extensions import override

STRIDES = (8, 16, 32, 64)
"""Pixels of the image between neighbouring cells of each map."""

OUTPUTS = 1 + 4 + 10
"""Of a cell: score (logit), box (dx, dy, ln w, ln h), five landmarks (dx, dy), in units of the stride."""

WIDTH, PYRAMID_WIDTH = 64, 64
GREY = 127.5
"""The middle of a pixel's range, and half of its width."""

RARE = 0.01
"""Score of an untrained cell: faces are rare (Lin et al., ICCV 2017)."""


def _convolution(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]


class Separable(nn.Module):
    """A convolution within each channel, then one across them; with a shortcut where the shape stays."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.has_shortcut = stride == 1 and channels == width

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """Map float [n, channels, h, w] to float [n, width, h / stride, w / stride]."""
        change: Tensor = self.layers(maps)
        return F.relu(maps + change if self.has_shortcut else change)


def _stage(channels: int, width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        Separable(channels, width, stride=2), *(Separable(width, width) for _ in range(blocks))
    )


class FerFace(nn.Module):
    """From an image to a map for each of `STRIDES`, float [n, 15, h / stride, w / stride], rounded up."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, 16, 2), *_convolution(16, 32, 2))
        self.stages = nn.ModuleList(
            [
                _stage(32, WIDTH, 3),
                _stage(WIDTH, 2 * WIDTH, 3),
                _stage(2 * WIDTH, 2 * WIDTH, 2),
                _stage(2 * WIDTH, 2 * WIDTH, 1),
            ]
        )
        widths = (WIDTH, 2 * WIDTH, 2 * WIDTH, 2 * WIDTH)
        self.laterals = nn.ModuleList(nn.Conv2d(width, PYRAMID_WIDTH, 1) for width in widths)
        self.merged = nn.ModuleList(Separable(PYRAMID_WIDTH, PYRAMID_WIDTH) for _ in STRIDES)
        shared = Separable(PYRAMID_WIDTH, PYRAMID_WIDTH)
        last = nn.Conv2d(PYRAMID_WIDTH, OUTPUTS, 3, padding=1)
        self.head = nn.Sequential(shared, last)
        self.scales = nn.Parameter(torch.ones(len(STRIDES)))
        bias = torch.zeros(OUTPUTS)
        bias[0] = torch.logit(torch.tensor(RARE))
        last.bias = nn.Parameter(bias)

    @override
    def forward(self, images: Tensor) -> list[Tensor]:
        """Map float [n, 3, h, w], h and w multiples of 32, normalised, to the maps, finest first."""
        maps = self.stem(images)
        found: list[Tensor] = []
        for stage in self.stages:
            maps = stage(maps)
            found.append(maps)
        pyramid = [lateral(maps) for lateral, maps in zip(self.laterals, found, strict=True)]
        for finer in range(len(pyramid) - 2, -1, -1):
            height, width = pyramid[finer].shape[2:]
            coarser = F.interpolate(pyramid[finer + 1], scale_factor=2.0)
            pyramid[finer] = pyramid[finer] + coarser[:, :, :height, :width]
        return [
            self._answer(merge(maps), scale)
            for merge, maps, scale in zip(self.merged, pyramid, self.scales, strict=True)
        ]

    def _answer(self, maps: Tensor, scale: Tensor) -> Tensor:
        answer: Tensor = self.head(maps)
        return torch.cat([answer[:, :1], answer[:, 1:] * scale], dim=1)


def normalise(images: Tensor) -> Tensor:
    """Map uint8 [n, h, w, 3] to float32 [n, 3, h, w], about -1 to 1."""
    return (images.permute(0, 3, 1, 2).float() - GREY) / GREY

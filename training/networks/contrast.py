"""Even out the light of grey faces as OpenCV does, by tensor operations that ONNX has.

All modules map float32 [n, 1, s, s], whole numbers of 0 to 255, to the same.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from typing_extensions import override

LEVELS = 256


class Equalised(nn.Module):
    """Spread each face's levels by its histogram: `cv2.equalizeHist`, to the same numbers."""

    zeros: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(1, LEVELS), persistent=False)

    @override
    def forward(self, planes: Tensor) -> Tensor:
        """Map faces to faces; one of a single level stays as it is."""
        levels = planes.flatten(1).to(torch.int64)
        pixels = planes.shape[2] * planes.shape[3]
        below = _count(self.zeros.expand(planes.shape[0], -1), levels).cumsum(dim=1)
        darkest = torch.where(below > 0, below, pixels).amin(dim=1, keepdim=True)
        table = torch.round((below - darkest) * (255 / (pixels - darkest).clamp(min=1)))
        spread = table.gather(1, levels).reshape(planes.shape)
        return torch.where((darkest == pixels)[:, :, None, None], planes, spread)


class Clahe(nn.Module):
    """Contrast-limited equalisation by tiles, blended between their middles: `cv2.createCLAHE(...).apply`.

    Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994. A level may differ
    from OpenCV's by 1, where sums of the blend fall on a half.

    Args:
        side: of the faces, a multiple of `grid`.
        grid: tiles along a side.
        clip: no level counts more than so many times the mean count.
    """

    zeros: Tensor
    steps: Tensor
    offsets: Tensor
    right: Tensor
    low: Tensor

    def __init__(self, side: int, grid: int, clip: float) -> None:
        super().__init__()
        self.grid, self.tile = grid, side // grid
        self.limit = max(1, int(clip * self.tile**2 / LEVELS))
        at = torch.arange(side) * (1 / torch.tensor(self.tile)) - 0.5
        first = torch.floor(at)
        near, share = torch.stack([first, first + 1]).clamp(0, grid - 1).long(), at - first
        tiles = near[:, None, :, None] * grid + near[None, :, None, :]  # row's, column's, y, x
        self.register_buffer("zeros", torch.zeros(1, grid * grid, LEVELS), persistent=False)
        self.register_buffer("steps", torch.arange(LEVELS, dtype=torch.float32), persistent=False)
        self.register_buffer("offsets", tiles.reshape(4, side * side) * LEVELS, persistent=False)
        self.register_buffer("right", share.repeat(side), persistent=False)
        self.register_buffer("low", share.repeat_interleave(side), persistent=False)

    @override
    def forward(self, planes: Tensor) -> Tensor:
        """Map faces to faces."""
        rows, grid, tile = planes.shape[0], self.grid, self.tile
        levels = planes.flatten(1).to(torch.int64)
        by_tile = levels.reshape(rows, grid, tile, grid, tile).permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)
        counts = _count(self.zeros.expand(rows, -1, -1), by_tile)
        tables = torch.round(self._clip(counts).cumsum(dim=2) * (255 / tile**2)).clamp(max=255).flatten(1)
        a, b, c, d = (tables.gather(1, levels + offsets) for offsets in self.offsets)
        above, below = a * (1 - self.right) + b * self.right, c * (1 - self.right) + d * self.right
        return torch.round(above * (1 - self.low) + below * self.low).reshape(planes.shape)

    def _clip(self, counts: Tensor) -> Tensor:
        """Cut counts at the limit and deal the rest out evenly, what remains at equal steps."""
        cut = (counts - self.limit).clamp(min=0).sum(dim=2, keepdim=True)
        each = torch.floor(cut / LEVELS)
        rest = cut - each * LEVELS
        step = torch.floor(LEVELS / rest.clamp(min=1))
        number = torch.floor(self.steps / step)
        gets_one = (number * step == self.steps) & (number < rest)
        return counts.clamp(max=self.limit) + each + gets_one.to(counts.dtype)


class Thresholded(nn.Module):
    """White where a pixel is above its window's mean less an offset: `cv2.adaptiveThreshold` by means.

    Args:
        window: side of the window, odd.
        offset: levels.
    """

    def __init__(self, window: int, offset: int) -> None:
        super().__init__()
        self.window, self.offset = window, offset

    @override
    def forward(self, planes: Tensor) -> Tensor:
        """Map faces to faces of 0 and 255; edges are repeated."""
        padded = F.pad(planes, [self.window // 2] * 4, mode="replicate")
        mean = torch.round(F.avg_pool2d(padded, self.window, stride=1))
        return (planes > mean - self.offset).to(planes.dtype) * 255


def _count(zeros: Tensor, levels: Tensor) -> Tensor:
    return zeros.scatter_add(-1, levels, torch.ones_like(levels, dtype=torch.float32))

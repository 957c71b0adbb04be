"""Histograms of uniform local binary patterns, as tensor operations that go into the graph.

Local binary patterns: Ojala et al., Pattern Recognition, 1996; uniform ones: Ojala et al., TPAMI, 2002;
histograms by cells for expressions: Shan et al., Image and Vision Computing, 2009. The ring is square: every
neighbour is a pixel, so all comparisons are of integers and no runtime can round them apart.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from typing_extensions import override

from training.config import TextureConfig

RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""Row and column of the neighbours, clockwise from the top left; the first is the lowest bit."""

BITS = len(RING)
UNIFORM_PATTERNS = 58
BINS = UNIFORM_PATTERNS + 1
"""One for each pattern with at most two changes between 0 and 1 around the ring, one for all others."""

LUMA_PER_MILLE = (299.0, 587.0, 114.0)


def number_uniform_patterns() -> Tensor:
    """Return the bin of each of the 256 patterns, int64: uniform ones in ascending order, then the rest."""
    patterns = range(1 << BITS)
    rotated = [(pattern >> 1) | (pattern & 1) << (BITS - 1) for pattern in patterns]
    uniform = [p for p, turned in zip(patterns, rotated, strict=True) if (p ^ turned).bit_count() <= 2]
    labels = torch.full((1 << BITS,), UNIFORM_PATTERNS, dtype=torch.int64)
    labels[torch.tensor(uniform)] = torch.arange(UNIFORM_PATTERNS)
    return labels


class TextureHistograms(nn.Module):
    """Luma rounded to integers, patterns of every pixel (edges repeated), the share of each bin by cell."""

    labels: Tensor
    offsets: Tensor
    shares: Tensor
    luma: Tensor

    def __init__(self, config: TextureConfig, side: int) -> None:
        super().__init__()
        self.radius, self.side = config.radius, side
        self.width = config.cells**2 * BINS
        cell = torch.arange(side) * config.cells // side
        cells = cell[:, None] * config.cells + cell
        sizes = torch.bincount(cells.flatten(), minlength=config.cells**2)
        self.register_buffer("labels", number_uniform_patterns(), persistent=False)
        self.register_buffer("offsets", cells * BINS, persistent=False)
        self.register_buffer("shares", 1 / sizes.repeat_interleave(BINS), persistent=False)
        self.register_buffer("luma", torch.tensor(LUMA_PER_MILLE), persistent=False)

    @override
    def forward(self, crops: Tensor) -> Tensor:
        """Map uint8 [n, side, side, 3], RGB, to float32 [n, cells x cells x 59]; each cell sums to 1."""
        bins = self.patterns(crops) + self.offsets
        counts = torch.zeros_like(self.shares).expand(crops.shape[0], -1)  # traced as dynamic, len is not
        counts = counts.scatter_add(1, bins.flatten(1), torch.ones_like(bins, dtype=torch.float32).flatten(1))
        return counts * self.shares

    def patterns(self, crops: Tensor) -> Tensor:
        """Map uint8 [n, side, side, 3] to the bin of every pixel, int64 [n, side, side].

        A bit is set where the neighbour is at least as bright as the pixel.
        """
        grey = torch.floor(((crops.to(torch.float32) * self.luma).sum(dim=3) + 500) / 1000)
        padded = F.pad(grey.unsqueeze(1), [self.radius] * 4, mode="replicate").squeeze(1)
        codes = torch.zeros_like(grey)
        for bit, (row, column) in enumerate(RING):
            top, left = (1 + row) * self.radius, (1 + column) * self.radius
            neighbour = padded[:, top : top + self.side, left : left + self.side]
            codes = codes + (neighbour >= grey).to(torch.float32) * (1 << bit)
        return self.labels[codes.to(torch.int64)]

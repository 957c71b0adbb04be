"""From the uint8 crop to what a network sees: the very module that export puts into the graph.

Knows no data set and no network. Serving sends bytes; all arithmetic on pixels is here.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from typing_extensions import override

from training.config import PreprocessingConfig

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Luma of R, G, B (ITU-R BT.601)."""


class Preprocessing(nn.Module):
    """Cast, grey (unless rgb), resize (bilinear, half-pixel centres, no antialiasing), normalise."""

    grey_weights: Tensor

    def __init__(self, config: PreprocessingConfig) -> None:
        super().__init__()
        self.size = config.size
        self.mean = config.mean
        self.std = config.std
        self.is_grey = config.colour == "grey"
        self.register_buffer("grey_weights", torch.tensor(GREY_WEIGHTS), persistent=False)

    @override
    def forward(self, crops: Tensor) -> Tensor:
        """Map uint8 [n, 112, 112, 3], RGB, to float32 [n, 1 (grey) or 3, size, size], normalised."""
        pixels = crops.to(torch.float32)
        if self.is_grey:
            planes = (pixels * self.grey_weights).sum(dim=3).unsqueeze(1)
        else:
            planes = pixels.permute(0, 3, 1, 2)
        small = F.interpolate(planes, size=(self.size, self.size), mode="bilinear", align_corners=False)
        return (small * (1 / 255.0) - self.mean) / self.std

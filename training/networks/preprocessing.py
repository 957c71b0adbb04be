"""From the uint8 crop to what a network sees: the very module that export puts into the graph.

Serving sends bytes; all arithmetic on pixels is here.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from typing_extensions import override

from training.config import PreprocessingConfig
from training.networks.contrast import Clahe, Equalised, Thresholded
from training.networks.pca import Components

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""Luma of R, G, B (ITU-R BT.601)."""


class Preprocessing(nn.Module):
    """Cast, grey (unless rgb), resize (bilinear, half-pixel centres, no antialiasing), even out, normalise.

    Light is evened out on levels rounded to whole numbers, and principal components come last, each only if
    the config says so. Components must be found on training faces first, or loaded.
    """

    grey_weights: Tensor

    def __init__(self, config: PreprocessingConfig) -> None:
        super().__init__()
        self.size = config.size
        self.mean = config.mean
        self.std = config.std
        self.is_grey = config.colour == "grey"
        self.register_buffer("grey_weights", torch.tensor(GREY_WEIGHTS), persistent=False)
        self.lighting = nn.Sequential(*_choose_lighting(config))
        values = config.size**2 * (1 if self.is_grey else 3)
        self.components = Components(values, config.components) if config.components else None

    @override
    def forward(self, crops: Tensor) -> Tensor:
        """Map uint8 [n, 112, 112, 3], RGB, to float32 [n, 1 (grey) or 3, size, size], normalised."""
        faces = self.before_components(crops)
        return faces if self.components is None else self.components(faces)

    def before_components(self, crops: Tensor) -> Tensor:
        """Apply all but the components; shapes as for `forward`."""
        pixels = crops.to(torch.float32)
        if self.is_grey:
            planes = (pixels * self.grey_weights).sum(dim=3).unsqueeze(1)
        else:
            planes = pixels.permute(0, 3, 1, 2)
        small = F.interpolate(planes, size=(self.size, self.size), mode="bilinear", align_corners=False)
        if len(self.lighting):
            small = self.lighting(torch.round(small))
        return (small * (1 / 255.0) - self.mean) / self.std


def _choose_lighting(config: PreprocessingConfig) -> Iterator[nn.Module]:
    if config.contrast == "equalised":
        yield Equalised()
    if config.contrast == "clahe":
        yield Clahe(config.size, config.clahe.grid, config.clahe.clip)
    if config.threshold is not None:
        yield Thresholded(config.threshold.window, config.threshold.offset)

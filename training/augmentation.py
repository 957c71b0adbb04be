"""Random changes to a batch of training faces, on tensors.

Knows no data set. All randomness comes from torch's global generator, which the training loop seeds.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from training.config import AugmentationConfig

ERASED_SIDE = (0.15, 0.4)
"""Shortest and longest side of a blanked rectangle, as parts of the picture's side."""


def augment(faces: Tensor, config: AugmentationConfig, *, full_scale: float) -> Tensor:
    """Flip, turn, zoom, shift, change the light of, and partly blank a batch.

    Args:
        faces: float32 [n, 1, s, s], normalised.
        config: strengths.
        full_scale: black-to-white distance in normalised units (1 / std).

    Returns:
        float32 [n, 1, s, s].
    """
    faces = F.grid_sample(
        faces,
        F.affine_grid(_transforms(len(faces), config), list(faces.shape), align_corners=False),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    column = (len(faces), 1, 1, 1)
    mean = faces.mean(dim=(2, 3), keepdim=True)
    contrast = 1 + config.contrast * _uniform(*column)
    brightness = config.brightness * full_scale * _uniform(*column)
    return _erase((faces - mean) * contrast + mean + brightness, config.erase)


def _uniform(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


def _transforms(n: int, config: AugmentationConfig) -> Tensor:
    """Draw the affine matrices [n, 2, 3], from output to input coordinates in [-1, 1]."""
    angle = math.radians(config.rotation_degrees) * _uniform(n)
    scale = 1 + config.zoom * _uniform(n)
    mirror = torch.where(torch.rand(n) < config.flip, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = 2 * config.shift * _uniform(n, 2)
    first = torch.stack([cos * mirror, -sin, shift[:, 0]], dim=1)
    second = torch.stack([sin * mirror, cos, shift[:, 1]], dim=1)
    return torch.stack([first, second], dim=1)


def _erase(faces: Tensor, probability: float) -> Tensor:
    n, _, side, _ = faces.shape
    low, high = ERASED_SIDE
    size = (low + (high - low) * torch.rand(n, 2)) * side
    corner = torch.rand(n, 2) * (side - size)
    size[torch.rand(n) >= probability] = 0
    at = torch.arange(side, dtype=torch.float32)
    inside = (at >= corner[:, :, None]) & (at < (corner + size)[:, :, None])
    blank = inside[:, 0, :, None] & inside[:, 1, None, :]
    return torch.where(blank[:, None], faces.mean(dim=(2, 3), keepdim=True), faces)

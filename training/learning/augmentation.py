"""Random changes to a batch of training faces, on tensors, and mixup.

All randomness comes from torch's global generator, which the training loop seeds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from training.config import AugmentationConfig

ERASED_SIDE = (0.15, 0.4)
"""Shortest and longest side of a blanked rectangle, as parts of the image's side."""

MOST = 0.9
"""A zoom or contrast changes by no more, however strong: beyond 1 they would invert the image."""


def augment(
    faces: Tensor, config: AugmentationConfig, *, full_scale: float, strengths: Tensor | None = None
) -> Tensor:
    """Flip, rotate, shear, zoom, shift, relight, add noise to and partly erase a batch.

    Args:
        faces: float32 [n, c, s, s], normalised.
        config: strengths.
        full_scale: black-to-white distance in normalised units (1 / std).
        strengths: float32 [n], factors of the strengths by face (the mirror's chance is not changed).

    Returns:
        float32 [n, c, s, s].
    """
    factor = torch.ones(len(faces)) if strengths is None else strengths.cpu()
    transforms = _draw_transforms(factor, config).to(faces.device)
    faces = F.grid_sample(
        faces,
        F.affine_grid(transforms, list(faces.shape), align_corners=False),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    factor = factor[:, None, None, None]
    mean = faces.mean(dim=(2, 3), keepdim=True)
    contrast = 1 + (config.contrast * factor).clamp(max=MOST) * _draw_uniform(*factor.shape)
    brightness = config.brightness * factor * full_scale * _draw_uniform(*factor.shape)
    faces = (faces - mean) * contrast.to(faces.device) + mean + brightness.to(faces.device)
    if config.noise:
        deviation = config.noise * factor * full_scale * torch.rand(factor.shape)
        faces = faces + deviation.to(faces.device) * torch.randn(faces.shape).to(faces.device)
    return _erase(faces, config.erase * factor.flatten())


@dataclass(frozen=True, slots=True)
class Mixture:
    """A batch as the network sees it, and the labels for its loss.

    Attributes:
        faces: float32 [n, c, s, s].
        rows: int64 [n], the training faces that are in the blends.
        partners: int64 [n], those that are blended in; None where nothing is.
        share: float32 [n], how much of a blend is of `rows`.
    """

    faces: Tensor
    rows: Tensor
    partners: Tensor | None
    share: Tensor

    def weigh(self, losses: Callable[[Tensor], Tensor]) -> Tensor:
        """Blend the losses [n] that `losses` gives against the labels of some rows."""
        if self.partners is None:
            return losses(self.rows)
        return self.share * losses(self.rows) + (1 - self.share) * losses(self.partners)


def mix_up(faces: Tensor, rows: Tensor, alpha: float) -> Mixture:
    """Blend faces float32 [n, c, s, s] among themselves, by shares of Beta(alpha, alpha); 0: not at all.

    Mixup (Zhang et al., ICLR 2018).
    """
    share = torch.ones(len(faces))
    if alpha == 0:
        return Mixture(faces, rows, None, share)
    share = torch.distributions.Beta(alpha, alpha).sample((len(faces),))
    order = torch.randperm(len(faces))
    part = share.to(faces.device)
    blend = part[:, None, None, None] * faces
    blend += (1 - part[:, None, None, None]) * faces[order.to(faces.device)]
    return Mixture(blend, rows, rows[order], part)


def _draw_uniform(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


def _draw_transforms(factor: Tensor, config: AugmentationConfig) -> Tensor:
    """Draw the affine matrices [n, 2, 3], from output to input coordinates in [-1, 1]."""
    n = len(factor)
    angle = math.radians(config.rotation_degrees) * factor * _draw_uniform(n)
    scale = 1 + (config.zoom * factor).clamp(max=MOST) * _draw_uniform(n)
    mirror = torch.where(torch.rand(n) < config.flip, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = 2 * config.shift * factor[:, None] * _draw_uniform(n, 2)
    # drawn only where wanted, so that runs without it keep their random numbers
    shear = (
        torch.tan(math.radians(config.shear_degrees) * factor * _draw_uniform(n))
        if config.shear_degrees
        else 0
    )
    first = torch.stack([cos * mirror, cos * mirror * shear - sin, shift[:, 0]], dim=1)
    second = torch.stack([sin * mirror, sin * mirror * shear + cos, shift[:, 1]], dim=1)
    return torch.stack([first, second], dim=1)


def _erase(faces: Tensor, probability: Tensor) -> Tensor:
    n, _, side, _ = faces.shape
    low, high = ERASED_SIDE
    size = (low + (high - low) * torch.rand(n, 2)) * side
    corner = torch.rand(n, 2) * (side - size)
    size[torch.rand(n) >= probability] = 0
    at = torch.arange(side, dtype=torch.float32)
    inside = (at >= corner[:, :, None]) & (at < (corner + size)[:, :, None])
    blank = (inside[:, 0, :, None] & inside[:, 1, None, :]).to(faces.device)
    return torch.where(blank[:, None], faces.mean(dim=(2, 3), keepdim=True), faces)

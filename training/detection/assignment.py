"""Assign cells of the maps to faces: SimOTA (Ge et al., "YOLOX", 2021) for one class."""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor
from torchvision.ops import box_iou

from training.detection.network import STRIDES

CENTRE_RADIUS = 2.5
"""Largest distance of a cell from its face's centre, in strides."""

MOST_CELLS = 10
IOU_WEIGHT = 3.0
FAR = 1e5


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of all maps.

    Attributes:
        corners: float32 [A, 2], x y of each cell's reference point, in pixels of the image.
        strides: float32 [A].
    """

    corners: Tensor
    strides: Tensor


def lay_cells(height: int, width: int) -> Cells:
    """Lay out the cells of an image, map by map, row by row; a map of part of a stride has a cell for it.

    Stays open in both when it is traced.
    """
    corners, strides = [], []
    for stride in STRIDES:
        counts = [(side + stride - 1) // stride for side in (height, width)]
        rows, columns = torch.meshgrid(*(torch.arange(count) for count in counts), indexing="ij")
        corners.append(torch.stack([columns, rows], dim=-1).reshape(-1, 2).float() * stride)
        strides.append(torch.full_like(corners[-1][:, 0], stride))
    return Cells(torch.cat(corners), torch.cat(strides))


def decode_boxes(answers: Tensor, cells: Cells) -> Tensor:
    """Map box answers float32 [..., A, 4] to x1 y1 x2 y2 in pixels."""
    strides = cells.strides[:, None]
    centres = cells.corners + answers[..., :2] * strides
    halves = answers[..., 2:].clamp(max=6).exp() * strides / 2
    return torch.cat([centres - halves, centres + halves], dim=-1)


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, faces: Tensor, cells: Cells) -> tuple[Tensor, Tensor, Tensor]:
    """Assign cells to every face.

    Args:
        scores: float32 [A], logits.
        boxes: float32 [A, 4], decoded.
        faces: float32 [n, 4], n > 0.
        cells: of the image.

    Returns:
        The chosen cells int64 [k], the face of each int64 [k], and the overlap of their boxes float32 [k].
    """
    middle = cells.corners + cells.strides[:, None] / 2
    from_centre = (middle[:, None] - (faces[None, :, :2] + faces[None, :, 2:]) / 2).abs().amax(dim=2)
    is_near = from_centre < CENTRE_RADIUS * cells.strides[:, None]
    is_inside = ((middle[:, None] > faces[None, :, :2]) & (middle[:, None] < faces[None, :, 2:])).all(dim=2)
    candidates = torch.nonzero((is_near | is_inside).any(dim=1)).flatten()
    overlaps = cast("Tensor", box_iou(boxes[candidates], faces))
    doubt = F.binary_cross_entropy_with_logits(
        scores[candidates], torch.ones(len(candidates)), reduction="none"
    )
    is_best = (is_near & is_inside)[candidates]
    costs = doubt[:, None] - IOU_WEIGHT * overlaps.clamp(min=1e-8).log() + FAR * ~is_best
    wanted = overlaps.topk(min(MOST_CELLS, len(candidates)), dim=0).values.sum(dim=0).int().clamp(min=1)
    ranks = costs.argsort(dim=0).argsort(dim=0)
    costs = costs.masked_fill(ranks >= wanted, torch.inf)
    lowest, face = costs.min(dim=1)  # a cell wanted by several faces answers for the one it fits best
    is_chosen = torch.isfinite(lowest)
    face = face[is_chosen]
    return candidates[is_chosen], face, overlaps[is_chosen].gather(1, face[:, None]).flatten()

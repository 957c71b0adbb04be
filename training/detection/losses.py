"""The loss of a detector: scores of all cells, boxes and landmarks of the assigned ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from training.detection.assignment import Cells, assign, decode_boxes, lay_cells
from training.detection.views import Sample

BOX_WEIGHT, LANDMARK_WEIGHT = 5.0, 1.0


@dataclass(frozen=True, slots=True)
class DetectionLoss:
    """The parts of a batch's loss, each for one chosen cell; `total` is what training minimises."""

    score: Tensor
    box: Tensor
    landmarks: Tensor

    @property
    def total(self) -> Tensor:
        """Their weighted sum."""
        return self.score + BOX_WEIGHT * self.box + LANDMARK_WEIGHT * self.landmarks

    def mix_with(self, other: "DetectionLoss", share: float) -> "DetectionLoss":
        """Return the weighted mean of both; this one weighs `share`."""
        pairs = ((self.score, other.score), (self.box, other.box), (self.landmarks, other.landmarks))
        return DetectionLoss(*(share * mine + (1 - share) * theirs for mine, theirs in pairs))


def detection_loss(maps: Sequence[Tensor], views: Sequence[Sample]) -> DetectionLoss:
    """Compute the loss of a batch.

    Args:
        maps: float32 [n, 15, h, w], finest first.
        views: n images of equal size, with their faces.
    """
    height, width = views[0].image.shape[:2]
    cells = lay_cells(height, width)
    answers = join_maps(maps)
    scores, landmarks = answers[..., 0], answers[..., 5:]
    boxes = decode_boxes(answers[..., 1:5], cells)
    targets, weights = torch.zeros_like(scores), torch.ones_like(scores)
    box_losses, landmark_losses = [], []
    for index, view in enumerate(views):
        _blank(weights[index], view, cells)
        faces = torch.from_numpy(view.boxes[~view.is_ignored])
        if len(faces) == 0:
            continue
        chosen, face, overlap = assign(scores[index].detach(), boxes[index].detach(), faces, cells)
        targets[index, chosen], weights[index, chosen] = overlap.clamp(min=0.05), 1.0
        box_losses.append(1 - eiou(boxes[index, chosen], faces[face]))
        known = torch.from_numpy(view.landmarks[~view.is_ignored])[face]
        landmark_losses.append(_landmark_loss(landmarks[index, chosen], known, faces[face], chosen, cells))
    count = max(1, sum(len(losses) for losses in box_losses))
    score = F.binary_cross_entropy_with_logits(scores, targets, weights, reduction="sum") / count
    none = scores.sum() * 0
    return DetectionLoss(
        score,
        torch.cat(box_losses).sum() / count if box_losses else none,
        torch.cat(landmark_losses).sum() / count if landmark_losses else none,
    )


def join_maps(maps: Sequence[Tensor]) -> Tensor:
    """Flatten maps [n, 15, h, w] in the order of `lay_cells`, [n, A, 15]."""
    return torch.cat([part.flatten(2) for part in maps], dim=2).transpose(1, 2)


def _blank(weights: Tensor, view: Sample, cells: Cells) -> None:
    """Zero the weights of cells in ignored boxes, in place."""
    middle = cells.corners + cells.strides[:, None] / 2
    for box in torch.from_numpy(view.boxes[view.is_ignored]):
        slack = cells.strides[:, None] / 2
        weights[((middle > box[:2] - slack) & (middle < box[2:] + slack)).all(dim=1)] = 0


def _landmark_loss(answers: Tensor, known: Tensor, faces: Tensor, chosen: Tensor, cells: Cells) -> Tensor:
    """Return the mean distance of five points in units of the face's longer side, [k]; 0 where unknown."""
    strides = cells.strides[chosen, None, None]
    points = cells.corners[chosen, None] + answers.reshape(-1, 5, 2) * strides
    longer = (faces[:, 2:] - faces[:, :2]).amax(dim=1)[:, None, None]
    is_known = torch.isfinite(known)
    return point_distances((points - torch.where(is_known, known, points.detach())) / longer)


def point_distances(off: Tensor) -> Tensor:
    """Return the mean distance of five points that are off by [k, 5, 2] of the face's longer side, [k]."""
    return 10 * F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.02, reduction="none").mean(dim=(1, 2))


def eiou(some: Tensor, others: Tensor) -> Tensor:
    """Compute overlap less the distance of centres and the difference of sides, pair by pair, [k].

    EIoU (Zhang et al., Neurocomputing 2022).
    """
    shared = (torch.minimum(some[:, 2:], others[:, 2:]) - torch.maximum(some[:, :2], others[:, :2])).clamp(
        min=0
    )
    sides, other_sides = some[:, 2:] - some[:, :2], others[:, 2:] - others[:, :2]
    union = sides.prod(dim=1) + other_sides.prod(dim=1) - shared.prod(dim=1)
    around = torch.maximum(some[:, 2:], others[:, 2:]) - torch.minimum(some[:, :2], others[:, :2])
    squares = around.square().clamp(min=1e-6)
    between = (some[:, :2] + some[:, 2:] - others[:, :2] - others[:, 2:]) / 2
    penalty = between.square().sum(dim=1) / squares.sum(dim=1)
    penalty = penalty + ((sides - other_sides).square() / squares).sum(dim=1)
    overlap: Tensor = shared.prod(dim=1) / union.clamp(min=1e-6) - penalty
    return overlap


def stack(views: Sequence[Sample]) -> Tensor:
    """Return the images of a batch, uint8 [n, h, w, 3]."""
    return torch.from_numpy(np.stack([view.image for view in views]))

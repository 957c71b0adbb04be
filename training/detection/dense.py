"""Learn from YuNet's own maps, every cell of a view, not only from the faces that it would report.

Its cells are those of the three finer maps of ferface, with the same outputs, so its answers are targets
as they are (dense distillation, after Hinton, Vinyals and Dean, 2015).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from fercore.inference.session import Graph
from services.detector.detectors import yunet
from training.detection.assignment import decode_boxes, lay_cells
from training.detection.config import TeacherConfig
from training.detection.losses import DetectionLoss, eiou, join_maps, point_distances
from training.detection.views import Sample
from training.errors import TrainingError

SURE = 0.3
"""Cells above this teacher score also teach boxes and landmarks, weighted by it."""


class DenseTeacher:
    """Answers every view of a batch, cell by cell.

    Args:
        graph: YuNet's.
        share: of the loss that is its own, above 0 and at most 1.
    """

    def __init__(self, graph: Graph, share: float) -> None:
        self._graph = graph
        self.share = share

    def distance(self, maps: Sequence[Tensor], views: Sequence[Sample]) -> DetectionLoss:
        """Return the student's distance from the teacher, per face-like cell; further cells are background.

        Args:
            maps: float32 [n, 15, h, w], the student's, finest first.
            views: n images of equal size.
        """
        target = self.answer(views)
        student = join_maps(maps)
        target = F.pad(target, (0, 0, 0, student.shape[1] - target.shape[1]))
        cells = lay_cells(*views[0].image.shape[:2])
        scores = target[..., 0]
        count = scores.sum().clamp(min=1)
        score = F.binary_cross_entropy_with_logits(student[..., 0], scores, reduction="sum") / count
        is_face = scores > SURE
        weights = scores[is_face]
        boxes, target_boxes = (decode_boxes(part[..., 1:5], cells)[is_face] for part in (student, target))
        box = (weights * (1 - eiou(boxes, target_boxes))).sum() / count
        sides_px = (target_boxes[:, 2:] - target_boxes[:, :2]).amax(dim=1)
        strides = cells.strides.expand_as(scores)[is_face]
        off = (student[..., 5:] - target[..., 5:])[is_face].reshape(-1, 5, 2)
        distances = point_distances(off * (strides / sides_px)[:, None, None])
        return DetectionLoss(score, box, (weights * distances).sum() / count)

    def answer(self, views: Sequence[Sample]) -> Tensor:
        """Return float32 [n, A, 15] like the student's, but with scores in [0, 1]; A cells of three maps."""
        bgr = np.stack([view.image.transpose(2, 0, 1)[::-1] for view in views]).astype(np.float32)
        outputs = [torch.from_numpy(output) for output in self._graph.run(bgr)]
        faces, centres, boxes, points = (torch.cat(outputs[start : start + 3], 1) for start in (0, 3, 6, 9))
        return torch.cat([(faces * centres).clamp(0, 1).sqrt(), boxes, points], dim=2)


def load_dense_teacher(config: TeacherConfig | None, repository: Path) -> DenseTeacher | None:
    """Load the teacher, if the config gives it weight.

    Raises:
        TrainingError: its cells are not the student's, or its weights are missing or wrong.
    """
    if config is None or not config.dense:
        return None
    if config.detector != "yunet":
        raise TrainingError(
            f"only yunet can teach every cell, {config.detector} cannot: set teacher.dense: 0"
        )
    try:
        return DenseTeacher(yunet.load(repository), config.dense)
    except (FileNotFoundError, ValueError) as err:
        raise TrainingError(str(err)) from err

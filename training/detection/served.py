"""ferface as it is served: from an image to its faces, decoded and suppressed in the graph.

There it costs less than in numpy: 0.97 of the time with 2 faces at 640x480 and 0.88 with 32 (9.1 for 9.3 ms,
9.3 for 10.6; medians of 300 alternating runs, one thread, 2026-11-21).
"""

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.ops import nms
from typing_extensions import override

from training.detection.assignment import Cells, decode_boxes, lay_cells
from training.detection.losses import join_maps
from training.detection.network import GREY, FerFace

OFFSET = 0.85
"""Score = logistic(the network's own logit - OFFSET).

With it, at 0.5, 97 % of the boxes from 24 px on are right on the 99 images of WIDER FACE train that
were held out, with 87 % of their faces found; before, 92 % were right at 0.5. 2026-11-21.
"""

SCORE_FLOOR = 0.05
"""Minimum score; weaker candidates are discarded before NMS to save time."""

SAME_FACE_IOU = 0.4


class Maps(nn.Module):
    """A network's answers, from uint8 RGB [n, h, w, 3], h and w multiples of 32.

    The scale of `normalise` is folded into the first weights: one pass less over all pixels. Relative to
    yunet it takes 1.00, 1.00 and 1.01, without this 1.04 three times (`python -m training evaluate-detector
    ferface --beside yunet ferface`, 2026-11-21).
    """

    def __init__(self, network: FerFace) -> None:
        super().__init__()
        self.network = deepcopy(network)
        with torch.no_grad():
            next(self.network.stem.parameters()).div_(GREY)

    @override
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return a map for each stride, scores as logits."""
        return tuple(self.network(images.permute(0, 3, 1, 2).float() - GREY))


class Served(nn.Module):
    """The faces of one image, highest score first."""

    def __init__(self, network: FerFace) -> None:
        super().__init__()
        self.maps = Maps(network)

    @override
    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find faces.

        Args:
            image: uint8 RGB [1, h, w, 3], h and w multiples of 32.

        Returns:
            Boxes float32 [n, 4], x1 y1 x2 y2 in pixels; scores [n]; landmarks [n, 5, 2] in pixels.
        """
        answers = join_maps(self.maps(image))[0]
        scores = (answers[:, 0] - OFFSET).sigmoid()
        likely = torch.nonzero(scores >= SCORE_FLOOR)[:, 0]
        every = lay_cells(image.shape[1], image.shape[2])
        answers, scores, cells = (
            answers[likely],
            scores[likely],
            Cells(every.corners[likely], every.strides[likely]),
        )
        boxes = decode_boxes(answers[:, 1:5], cells)
        kept = cast("Tensor", nms(boxes, scores, SAME_FACE_IOU))
        steps = answers[kept, 5:].reshape(-1, 5, 2) * cells.strides[kept, None, None]
        return boxes[kept], scores[kept], cells.corners[kept, None] + steps

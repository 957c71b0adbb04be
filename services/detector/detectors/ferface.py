"""ferface, the detector that is trained here: single-shot, anchor-free, with five landmarks.

Knows no queue and no settings. Its weights are shipped; docs/detectors.md says how they were trained.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fercore.inference.session import Graph, load_graph
from fercore.vision.boxes import keep_strongest
from fercore.vision.canvas import on_canvas
from fercore.vision.crop import Framing, RgbImage
from fercore.vision.detection import Detections, Detector

WEIGHTS = ("detector_ferface/model.onnx",)
HINT = "they are shipped: restore the file, or train it again as docs/detectors.md says"

Floats = npt.NDArray[np.float32]

STRIDES = (8, 16, 32, 64)
OUTPUTS = 15
"""Of a cell: score (logit), box (dx, dy, ln w, ln h), five landmarks (dx, dy), in units of the stride."""

FRAMING = Framing(
    scale=0.888,
    dx=-0.002,
    dy=-0.013,
    points=((0.298, 0.38), (0.704, 0.373), (0.505, 0.599), (0.332, 0.776), (0.677, 0.772)),
)
"""Medians over the 3,737 of 4,000 FER2013 Training tiles in which one face was found (quartiles of the scale
0.930 and 1.115; `python -m training framing --detector ferface`, 2026-11-21), for a square of 0.875 times the
side, as yunet's, for the same reason.
"""

SCORE_FLOOR = 0.05
"""What is below is not given: of use to nobody, and it costs time."""

SAME_FACE_IOU = 0.4

OFFSET = 0.85
"""Score = logistic(the network's own logit - OFFSET).

By it 0.5 stands where 97 % of the boxes from 24 px on are right on the 99 pictures of WIDER FACE train that
were held out, with 87 % of their faces found; before, 92 % were right at 0.5. 2026-11-21.
"""


def create(model_repository: Path) -> Detector:
    """Load the graph.

    Raises:
        FileNotFoundError: the weights are missing.
        ValueError: they are not ferface's.
    """
    graph = load_graph(
        model_repository,
        WEIGHTS[0],
        takes=(None, None, None, 3),
        gives=[(None, OUTPUTS, None, None) for _ in STRIDES],
        hint=HINT,
        dtype=np.uint8,
    )
    return FerFace(graph)


class FerFace:
    """Gives boxes as WIDER FACE draws them, forehead to chin, and landmarks in the order of `Detections`."""

    framing = FRAMING

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:  # noqa: ARG002 - saves no time here
        """Find faces; see `Detector.detect`."""
        canvas, ratios = on_canvas(image, (None, None), multiple=32)
        maps = self._graph.run(canvas[None])
        found = [_decode(one[0], stride) for one, stride in zip(maps, STRIDES, strict=True)]
        boxes, scores, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = keep_strongest(boxes, scores, SAME_FACE_IOU)
        return Detections(boxes[kept] * np.tile(ratios, 2), scores[kept], landmarks[kept] * ratios)


def _decode(answers: Floats, stride: int) -> tuple[Floats, Floats, Floats]:
    """Turn a map [15, rows, columns] into boxes [n, 4], scores [n] and landmarks [n, 5, 2] on the canvas."""
    rows, columns = np.nonzero(answers[0] - OFFSET >= np.log(SCORE_FLOOR / (1 - SCORE_FLOOR)))
    likely: Floats = answers[:, rows, columns].T
    cells = np.stack([columns, rows], axis=1).astype(np.float32)
    centres, halves = cells + likely[:, 1:3], np.exp(np.minimum(likely[:, 3:5], 6)) / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1) * stride
    landmarks = (likely[:, 5:].reshape(-1, 5, 2) + cells[:, None]) * stride
    scores = np.asarray(1 / (1 + np.exp(OFFSET - likely[:, 0])), np.float32)
    return np.asarray(boxes, np.float32), scores, np.asarray(landmarks, np.float32)

"""YuNet (Wu, Peng and Yu, Machine Intelligence Research 20, 2023): small, fast, with five landmarks.

Its weights are fetched (`make models`) or put there by hand; the graphs of libfacedetection.train with a
fixed input and the one with an open input both do.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fercore.inference.session import Graph, load_graph
from fercore.vision.boxes import nms
from fercore.vision.crop import Framing, RgbImage
from fercore.vision.detection import Detections, Detector
from fercore.vision.letterbox import letterbox

WEIGHTS = ("detector_yunet/model.onnx",)
HINT = "`make models` fetches it"

Floats = npt.NDArray[np.float32]

STRIDES = (8, 16, 32)

FRAMING = Framing(
    scale=0.874,
    dx=-0.003,
    dy=0.001,
    points=((0.29, 0.377), (0.708, 0.377), (0.498, 0.606), (0.319, 0.772), (0.676, 0.771)),
)
"""As `python -m training framing --detector yunet` prints, the scale times 0.875: docs/detectors.md."""

SCORE_FLOOR = 0.05
"""Minimum score; weaker candidates are discarded before NMS, to save time."""

SAME_FACE_IOU = 0.3


def create(model_repository: Path) -> Detector:
    """Load the graph.

    Raises:
        FileNotFoundError: the weights are missing.
        ValueError: they are not YuNet's.
    """
    return YuNet(load(model_repository))


def load(model_repository: Path) -> Graph:
    """Load the bare graph, which also teaches (`training.detection.dense`); raises as `create` does."""
    shapes = [(None, None, length) for length in (1, 1, 4, 10) for _ in STRIDES]
    return load_graph(model_repository, WEIGHTS[0], takes=(None, 3, None, None), gives=shapes, hint=HINT)


class YuNet:
    """Gives boxes close around the face and landmarks in the order of `Detections`."""

    framing = FRAMING

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._size = graph.input_shape[2], graph.input_shape[3]

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:  # noqa: ARG002 - saves no time here
        """Find faces; see `Detector.detect`."""
        boxed, ratios = letterbox(image, self._size, multiple=STRIDES[-1])
        bgr = np.ascontiguousarray(boxed.transpose(2, 0, 1)[None, ::-1], np.float32)
        outputs = [output[0] for output in self._graph.run(bgr)]
        levels = zip(outputs[:3], outputs[3:6], outputs[6:9], outputs[9:], STRIDES, strict=True)
        found = [
            _decode(np.sqrt(face * centre)[:, 0], box, points, stride, boxed.shape[1] // stride)
            for face, centre, box, points, stride in levels
        ]
        boxes, scores, landmarks = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = nms(boxes, scores, SAME_FACE_IOU)
        return Detections(boxes, scores, landmarks).select(kept).moved(ratios)


def _decode(
    scores: Floats, boxes: Floats, points: Floats, stride: int, columns: int
) -> tuple[Floats, Floats, Floats]:
    """Turn one level's cells into boxes [n, 4], scores [n] and landmarks [n, 5, 2] in pixels of the input.

    Args:
        scores: [cells], geometric mean of the likelihoods of a face and of its centre.
        boxes: [cells, 4], centre from the cell's place in strides, logarithm of the sides in strides.
        points: [cells, 10], likewise from the cell's place.
        stride: pixels between cells.
        columns: cells in a row.
    """
    likely = np.flatnonzero(scores >= SCORE_FLOOR)
    cells = np.stack([likely % columns, likely // columns], axis=1).astype(np.float32)
    centres, halves = cells + boxes[likely, :2], np.exp(boxes[likely, 2:]) / 2
    corners = np.concatenate([centres - halves, centres + halves], axis=1) * stride
    landmarks = (points[likely].reshape(-1, 5, 2) + cells[:, None]) * stride
    return corners, scores[likely], landmarks

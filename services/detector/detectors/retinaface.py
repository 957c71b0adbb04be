"""RetinaFace (Deng et al., CVPR 2020), on MobileNet 0.25 or ResNet50: precise, with five landmarks.

Its graph is made of public weights by `python -m training export-detector retinaface`, which writes the
anchors' sides into it; a graph that does not name them has those of Pytorch_Retinaface.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fercore.inference.session import Graph, load_graph
from fercore.vision.boxes import nms
from fercore.vision.crop import Framing, RgbImage
from fercore.vision.detection import Detections, Detector
from fercore.vision.letterbox import letterbox

WEIGHTS = ("detector_retinaface/model.onnx",)
HINT = "`make models` says how to make it"

Floats = npt.NDArray[np.float32]

MEANS_BGR = np.array([104, 117, 123], np.float32)
STRIDES = (8, 16, 32)
ANCHOR_SIDES = "16,32 64,128 256,512"
"""In pixels, by stride."""

CENTRE_STEP, SIDE_STEP = 0.1, 0.2
"""What an offset of 1 means: parts of the anchor's side, and of the logarithm of the face's side."""

FRAMING = Framing(
    scale=0.992,
    dx=0.006,
    dy=-0.002,
    points=((0.323, 0.384), (0.677, 0.384), (0.506, 0.588), (0.358, 0.757), (0.641, 0.754)),
)
"""Medians over the 975 of 1,000 FER2013 Training tiles in which one face was found (on MobileNet; quartiles
of the scale 0.901 and 1.084): `python -m training framing --detector retinaface --tiles 1000`, 2026-11-21."""

SCORE_FLOOR = 0.05
"""Minimum score; weaker candidates are discarded before NMS, to save time."""

SAME_FACE_IOU = 0.4


def create(model_repository: Path) -> Detector:
    """Load the graph.

    Raises:
        FileNotFoundError: the weights are missing.
        ValueError: they are not RetinaFace's.
    """
    shapes = [(None, None, length) for length in (4, 2, 10)]
    graph = load_graph(model_repository, WEIGHTS[0], takes=(1, 3, None, None), gives=shapes, hint=HINT)
    return RetinaFace(graph)


class RetinaFace:
    """Gives boxes close around the face and landmarks in the order of `Detections`."""

    framing = FRAMING

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._size = graph.input_shape[2], graph.input_shape[3]
        levels = graph.metadata.get("anchor_sides", ANCHOR_SIDES).split()
        self._sides = [np.array(level.split(","), np.float32) for level in levels]

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:  # noqa: ARG002 - saves no time here
        """Find faces; see `Detector.detect`."""
        boxed, ratios = letterbox(image, self._size, multiple=1)
        bgr = boxed[:, :, ::-1] - MEANS_BGR
        offsets, likelihoods, points = self._graph.run(np.ascontiguousarray(bgr.transpose(2, 0, 1)[None]))
        scores = likelihoods[0, :, 1]
        likely = np.flatnonzero(scores >= SCORE_FLOOR)
        centres, sides = (part[likely] for part in self._anchors(*boxed.shape[:2]))
        scores, offsets = scores[likely], offsets[0, likely]
        middles = centres + offsets[:, :2] * CENTRE_STEP * sides
        halves = np.exp(offsets[:, 2:] * SIDE_STEP) * sides / 2
        boxes = np.concatenate([middles - halves, middles + halves], axis=1)
        steps = points[0, likely].reshape(-1, 5, 2) * CENTRE_STEP
        landmarks = centres[:, None] + steps * sides[:, None]
        kept = nms(boxes, scores, SAME_FACE_IOU)
        return Detections(boxes, scores, landmarks).select(kept).moved(ratios)

    def _anchors(self, height: int, width: int) -> tuple[Floats, Floats]:
        """Return the anchors' centres [k, 2] and sides [k, 1]: by level, row, column, side."""
        centres, sides = [], []
        for stride, own in zip(STRIDES, self._sides, strict=True):
            rows, columns = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)]
            cells = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) * stride
            centres.append(cells.repeat(len(own), axis=0))
            sides.append(np.tile(own, len(cells)))
        return np.concatenate(centres).astype(np.float32), np.concatenate(sides)[:, None]

"""UltraFace RFB-320 (Ultra-Light-Fast-Generic-Face-Detector-1MB): the quickest, for near faces, no landmarks.

Its weights are fetched (`make models`); the graph decodes its boxes itself.
"""

from pathlib import Path

import numpy as np

from fercore.inference.session import Graph, load_graph
from fercore.vision.boxes import nms
from fercore.vision.crop import Framing, RgbImage
from fercore.vision.detection import Detections, Detector
from fercore.vision.letterbox import letterbox

WEIGHTS = ("detector_ultraface/model.onnx",)
HINT = "`make models` fetches it"

WIDTH, HEIGHT = 320, 240

FRAMING = Framing(scale=0.987, dx=-0.003, dy=-0.004)
"""Medians over the 922 of 1,000 FER2013 Training tiles in which one face was found (quartiles of the scale
0.899 and 1.089): `python -m training framing --detector ultraface --tiles 1000`, 2026-11-21."""

SCORE_FLOOR = 0.1
"""Minimum score; this network gives about 0.05 to a thousand places of any image."""

SAME_FACE_IOU = 0.3


def create(model_repository: Path) -> Detector:
    """Load the graph.

    Raises:
        FileNotFoundError: the weights are missing.
        ValueError: they are not UltraFace's.
    """
    takes, gives = (1, 3, HEIGHT, WIDTH), [(1, None, 2), (1, None, 4)]
    return UltraFace(load_graph(model_repository, WEIGHTS[0], takes=takes, gives=gives, hint=HINT))


class UltraFace:
    """Gives boxes only; it sees no more than 320 x 240 pixels of any image."""

    framing = FRAMING

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:  # noqa: ARG002 - saves no time here
        """Find faces; see `Detector.detect`."""
        boxed, ratios = letterbox(image, (HEIGHT, WIDTH))
        scaled = (boxed.transpose(2, 0, 1)[None].astype(np.float32) - 127) / 128
        likelihoods, corners = self._graph.run(scaled)
        scores = likelihoods[0, :, 1]
        likely = np.flatnonzero((scores >= SCORE_FLOOR) & (corners[0, :, 2:] > corners[0, :, :2]).all(axis=1))
        boxes = corners[0, likely] * np.array([WIDTH, HEIGHT] * 2, np.float32) * np.tile(ratios, 2)
        kept = nms(boxes, scores[likely], SAME_FACE_IOU)
        return Detections(boxes[kept], scores[likely][kept])

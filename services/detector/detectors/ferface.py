"""ferface, the detector that is trained here: single-shot, anchor-free, with five landmarks.

Its graph decodes and applies NMS by itself (`training/detection/served.py`) and is shipped; docs/detectors.md
says how it was trained.
"""

from pathlib import Path

import numpy as np

from fercore.inference.session import Graph, load_graph
from fercore.vision.crop import Framing, RgbImage
from fercore.vision.detection import Detections, Detector
from fercore.vision.letterbox import letterbox

WEIGHTS = ("detector_ferface/model.onnx",)
HINT = "they are shipped: restore the file, or train it again as docs/detectors.md says"

FRAMING = Framing(
    scale=0.888,
    dx=-0.002,
    dy=-0.013,
    points=((0.298, 0.38), (0.704, 0.373), (0.505, 0.599), (0.332, 0.776), (0.677, 0.772)),
)
"""As `python -m training framing --detector ferface` prints, the scale times 0.875: docs/detectors.md."""


def create(model_repository: Path) -> Detector:
    """Load the graph.

    Raises:
        FileNotFoundError: the weights are missing.
        ValueError: they are not ferface's.
    """
    graph = load_graph(
        model_repository,
        WEIGHTS[0],
        takes=(1, None, None, 3),
        gives=[(None, 4), (None,), (None, 5, 2)],
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
        boxed, ratios = letterbox(image, (None, None), multiple=32)
        boxes, scores, landmarks = self._graph.run(boxed[None])
        return Detections(boxes, scores, landmarks).moved(ratios)

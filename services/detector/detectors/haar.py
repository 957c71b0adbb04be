"""The classic cascade of Haar features (Viola and Jones, CVPR 2001), with the weights OpenCV ships.

Frontal faces only, no landmarks; it needs no model file. How cascade, scale step and score were chosen:
docs/detectors.md.
"""

import threading
from pathlib import Path

import cv2
import cv2.data
import numpy as np
import numpy.typing as npt

from fercore.vision.boxes import iou, nms
from fercore.vision.crop import Framing, RgbImage
from fercore.vision.detection import Detections, Detector

CASCADE = "haarcascade_frontalface_alt2.xml"
STAGE_BOUND = 53.755
"""Sum that a window must reach in this cascade's last stage; what is above it is the window's evidence."""

FRAMING = Framing(scale=0.903, dx=-0.003, dy=0.004)
"""As `python -m training framing --detector haar` prints, the scale times 0.875: docs/detectors.md."""

SLOPE, OFFSET = 1.603, -1.899
"""Score = logistic(SLOPE * ln(evidence) + OFFSET); at 0.5 and above 97 % of the boxes are right."""

CLOSE_UP_SIDE_PX = 240
"""Longer side that the second look scales down to, for it is for large faces only."""

CLOSE_UP_SHARE, CLOSE_UP_MARGIN = 0.4, 0.3
"""Smallest face of the second look, and how far it sees beyond the edges, in parts of the shorter side."""

SURE_SCORE = 0.5
SMALLEST_WINDOW_PX = 30
SCALE_STEP = 1.2
SAME_FACE_IOU = 0.35
INSIDE_SHARE = 0.5
"""A box of which more than this lies in a stronger one, or the other way round, shows the same face."""


def create(model_repository: Path) -> Detector:  # noqa: ARG001 - its weights come with OpenCV
    """Build the detector; it has no weights in the model repository."""
    return HaarDetector()


class HaarDetector:
    """A face detector whose boxes are squares, close to the frames of FER2013."""

    framing = FRAMING

    def __init__(self) -> None:
        self._file = str(Path(cv2.data.haarcascades) / CASCADE)
        self._own = threading.local()
        self._cascade()

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:
        """Find frontal faces; see `Detector.detect`. The image is searched in all its pixels.

        Where none is found, a second look takes the image to reach on beyond its edges: a face that
        fills it is cut by them, and no window fits. Its box may then do so too.
        """
        height, width = image.shape[:2]
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        found = self._look(grey, 1.0, max(SMALLEST_WINDOW_PX, min_face_px), beyond=0)
        if len(found.scores) == 0 or found.scores.max() < SURE_SCORE:
            shorter = min(height, width)
            scale = min(1.0, CLOSE_UP_SIDE_PX / max(height, width))
            window = max(SMALLEST_WINDOW_PX, min_face_px * scale, CLOSE_UP_SHARE * shorter * scale)
            close_up = self._look(grey, scale, window, beyond=round(CLOSE_UP_MARGIN * shorter * scale))
            if len(close_up.scores) and close_up.scores.max() >= SURE_SCORE:
                return close_up
        return found

    def _look(self, grey: npt.NDArray[np.uint8], scale: float, window: float, *, beyond: int) -> Detections:
        """Search once.

        Args:
            grey: uint8 [height, width].
            scale: at most 1, of the searched image.
            window: smallest side searched for, in pixels of the searched image.
            beyond: pixels of repeated edge around the searched image.
        """
        height, width = grey.shape
        working_width, working_height = round(width * scale), round(height * scale)
        side = int(window)
        if min(working_width, working_height) == 0 or min(working_width, working_height) + 2 * beyond < side:
            return Detections.none()
        if scale < 1:
            grey = np.asarray(
                cv2.resize(grey, (working_width, working_height), interpolation=cv2.INTER_AREA), np.uint8
            )
        if beyond:
            grey = np.pad(grey, beyond, mode="edge")
        # minNeighbors 0: every window that passes comes back, with its sum in the last stage
        found, _, sums = self._cascade().detectMultiScale3(
            grey, SCALE_STEP, 0, 0, (side, side), outputRejectLevels=True
        )
        if len(found) == 0:
            return Detections.none()
        windows = np.asarray(found, np.float64).reshape(-1, 4)
        windows[:, 2:] += windows[:, :2]
        boxes, evidence = merge(windows - beyond, np.asarray(sums, np.float64).reshape(-1) - STAGE_BOUND)
        to_source = np.array([width / working_width, height / working_height] * 2)
        scores = 1 / (1 + np.exp(-(SLOPE * np.log(evidence) + OFFSET)))
        return Detections((boxes * to_source).astype(np.float32), scores.astype(np.float32))

    def _cascade(self) -> cv2.CascadeClassifier:
        """Return this thread's own classifier: OpenCV's is not safe to share."""
        if not hasattr(self._own, "cascade"):
            cascade = cv2.CascadeClassifier(self._file)
            if cascade.empty():
                raise RuntimeError(f"OpenCV has no cascade {CASCADE}")
            self._own.cascade = cascade
        kept: cv2.CascadeClassifier = self._own.cascade
        return kept


def merge(
    windows: npt.NDArray[np.float64], evidence: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Join the many windows on one face into one box, and drop boxes that lie in a stronger one.

    Args:
        windows: float64 [n, 4], x1 y1 x2 y2.
        evidence: float64 [n]; a box's evidence is the sum over its windows.

    Returns:
        Boxes float64 [m, 4], each the mean of its windows, and their evidence float64 [m] > 0, the
        strongest first.
    """
    left = np.argsort(-evidence, kind="stable")
    joined: list[tuple[float, npt.NDArray[np.float64]]] = []
    while len(left):
        is_same = iou(windows[left[0]], windows[left]) >= SAME_FACE_IOU
        members = left[is_same]
        joined.append((float(np.maximum(evidence[members], 1e-3).sum()), windows[members].mean(axis=0)))
        left = left[~is_same]
    boxes = np.array([box for _, box in joined]).reshape(-1, 4)
    strengths = np.array([strength for strength, _ in joined])
    kept = nms(boxes, strengths, INSIDE_SHARE, of_smaller=True)
    return boxes[kept], strengths[kept]

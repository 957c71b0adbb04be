"""MTCNN (Zhang et al., IEEE Signal Processing Letters 23, 2016): a cascade of three small networks.

Its graphs are made of public weights by `python -m training export-detector mtcnn`. The first proposes
windows on a pyramid of the image, the second refines them, the third gives boxes and five landmarks.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fercore.inference.session import Graph, Shape, load_graph
from fercore.vision.boxes import nms
from fercore.vision.crop import Boxes, Framing, RgbImage
from fercore.vision.detection import Detections, Detector
from fercore.vision.letterbox import LARGEST_SIDE_PX

WEIGHTS = tuple(f"detector_mtcnn/{stage}.onnx" for stage in ("pnet", "rnet", "onet"))
HINT = "`make models` says how to make it"

Floats = npt.NDArray[np.float32]

FRAMING = Framing(
    scale=0.943,
    dx=0.012,
    dy=-0.003,
    points=((0.316, 0.389), (0.690, 0.384), (0.503, 0.599), (0.348, 0.782), (0.658, 0.780)),
)
"""Medians over the 910 of 1,000 FER2013 Training tiles in which one face was found (quartiles of the scale
0.848 and 1.036): `python -m training framing --detector mtcnn --tiles 1000`, 2026-11-21."""

SMALLEST_FACE_PX = 20
PYRAMID_STEP = 0.709
WINDOW_PX, WINDOW_STRIDE_PX = 12, 2
"""What one answer of the first network sees, and how far the next one is."""

REFINED_PX, FINAL_PX = 24, 48
"""Sides of the windows that the second and the third network take."""

PROPOSED_SCORE, REFINED_SCORE = 0.6, 0.7
"""Least scores with which a window goes on (those of the paper's code)."""

SCORE_FLOOR = 0.05
"""Minimum score of the last network; weaker candidates are discarded before NMS."""

WINDOWS_AT_ONCE = 128
"""More in one run would only take more memory."""


def create(model_repository: Path) -> Detector:
    """Load the three graphs.

    Raises:
        FileNotFoundError: one is missing.
        ValueError: one is not MTCNN's.
    """
    window = (None, None)
    shapes: list[tuple[Shape, list[Shape]]] = [
        ((1, 3, *window), [(1, 2, *window), (1, 4, *window)]),
        ((None, 3, REFINED_PX, REFINED_PX), [(None, 2), (None, 4)]),
        ((None, 3, FINAL_PX, FINAL_PX), [(None, 2), (None, 4), (None, 10)]),
    ]
    stages = zip(WEIGHTS, shapes, strict=True)
    return Mtcnn(
        *(
            load_graph(model_repository, file, takes=takes, gives=gives, hint=HINT)
            for file, (takes, gives) in stages
        )
    )


class Mtcnn:
    """Gives boxes close around the face and landmarks in the order of `Detections`."""

    framing = FRAMING

    def __init__(self, proposing: Graph, refining: Graph, deciding: Graph) -> None:
        self._proposing = proposing
        self._refining = refining
        self._deciding = deciding

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:
        """Find faces; see `Detector.detect`."""
        windows = _squares(self._propose(image, max(SMALLEST_FACE_PX, min_face_px)))
        scores, offsets = _run(self._refining, image, windows, REFINED_PX)
        passed = np.flatnonzero(scores[:, 1] >= REFINED_SCORE)
        passed = passed[nms(windows[passed], scores[passed, 1], 0.7)]
        windows = _squares(_moved(windows[passed], offsets[passed]))
        scores, offsets, points = _run(self._deciding, image, windows, FINAL_PX)
        passed = np.flatnonzero(scores[:, 1] >= SCORE_FLOOR)
        windows, points = windows[passed], points[passed].reshape(-1, 2, 5).transpose(0, 2, 1)
        boxes, final = _moved(windows, offsets[passed]), scores[passed, 1]
        landmarks = windows[:, None, :2] + points * (windows[:, 2:] - windows[:, :2])[:, None]
        kept = nms(boxes, final, 0.7, of_smaller=True)
        return Detections(boxes, final, landmarks).select(kept)

    def _propose(self, image: RgbImage, smallest_px: int) -> Boxes:
        """Return windows that may hold a face of at least that size, float32 [n, 4]."""
        height, width = image.shape[:2]
        found = [np.zeros((0, 5), np.float32)]
        scale = min(WINDOW_PX / smallest_px, LARGEST_SIDE_PX / max(height, width))
        while min(height, width) * scale >= WINDOW_PX:
            size = round(width * scale), round(height * scale)
            scaled = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            scores, offsets = self._proposing.run(_tensor(scaled[None]))
            rows, columns = np.nonzero(scores[0, 1] >= PROPOSED_SCORE)
            likely = scores[0, 1, rows, columns]
            corners = np.stack([columns, rows], axis=1).astype(np.float32) * WINDOW_STRIDE_PX
            windows = np.concatenate([corners, corners + WINDOW_PX], axis=1)
            kept = nms(windows, likely, 0.5)  # in whole numbers: many share just a half
            to_source = np.array([width / size[0], height / size[1]] * 2, np.float32)
            moved = _moved(windows[kept] * to_source, offsets[0, :, rows, columns][kept])
            found.append(np.concatenate([moved, likely[kept, None]], axis=1))
            scale *= PYRAMID_STEP
        proposals = np.concatenate(found)
        return proposals[nms(proposals[:, :4], proposals[:, 4], 0.7), :4]


def _run(graph: Graph, image: RgbImage, windows: Boxes, side: int) -> list[Floats]:
    """Run a network on the windows of the image; at least one run, so that its shapes are known."""
    crops = np.zeros((len(windows), side, side, 3), np.uint8)
    for crop, window in zip(crops, windows, strict=True):
        crop[:] = _crop(image, window, side)
    parts = [
        graph.run(_tensor(crops[start : start + WINDOWS_AT_ONCE]))
        for start in range(0, max(1, len(crops)), WINDOWS_AT_ONCE)
    ]
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _crop(image: RgbImage, window: Floats, side: int) -> RgbImage:
    """Cut a window out, black where it reaches beyond the image, and resize it to side x side pixels."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (round(float(corner)) for corner in window)
    whole = np.zeros((max(1, y2 - y1), max(1, x2 - x1), 3), np.uint8)
    left, top, right, bottom = max(0, x1), max(0, y1), min(width, x2), min(height, y2)
    if right > left and bottom > top:
        whole[top - y1 : bottom - y1, left - x1 : right - x1] = image[top:bottom, left:right]
    return np.asarray(cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _tensor(images: npt.NDArray[np.uint8]) -> Floats:
    """Convert uint8 RGB [n, h, w, 3] to float32 [n, 3, h, w] in [-1, 1]."""
    return (np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) - np.float32(127.5)) / np.float32(
        128
    )


def _moved(windows: Boxes, offsets: Floats) -> Boxes:
    """Move each corner by parts of its window's sides."""
    sides = windows[:, 2:] - windows[:, :2]
    return np.asarray(windows + offsets * np.tile(sides, 2), np.float32)


def _squares(windows: Boxes) -> Boxes:
    """Make windows square around their centres, by the longer side."""
    centres, sides = (windows[:, :2] + windows[:, 2:]) / 2, windows[:, 2:] - windows[:, :2]
    halves = sides.max(axis=1, keepdims=True, initial=0) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)

"""Random views of a scene to learn from: a square window at a random scale, mirrored, turned, relit.

All randomness comes from the generator that is passed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fercore.vision.crop import Boxes, RgbImage

MIRRORED = [1, 0, 2, 4, 3]
"""The order of a mirrored face's landmarks: the viewer's left is always first."""

SMALLEST_FACE_PX = 7.0
"""Smaller faces of a view cannot be recognised: they count neither way."""

SEEN_SHARE = 0.4
"""Faces of which less lies in the window count neither way."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image in memory and its targets.

    Attributes:
        image: uint8 [h, w, 3], RGB.
        boxes: float32 [n, 4], x1 y1 x2 y2.
        landmarks: float32 [n, 5, 2]; NaN where they are not known.
        is_ignored: bool [n]; such a box counts neither as face nor as background.
    """

    image: RgbImage
    boxes: Boxes
    landmarks: npt.NDArray[np.float32]
    is_ignored: npt.NDArray[np.bool_]


SHOWN_SHARE = 0.6
"""An image is not made smaller than this share of a view: empty parts teach nothing."""


def draw_mosaic(four: Sequence[Sample], side_px: int, random: np.random.Generator) -> Sample:
    """Draw one view made of a view of each of four images, where faces are small and many.

    Bochkovskiy et al., "YOLOv4", 2020.
    """
    half = side_px // 2
    parts = [draw_view(sample, half, random) for sample in four]
    rows = [np.hstack([part.image for part in pair]) for pair in (parts[:2], parts[2:])]
    offsets = [np.array([x, y], np.float32) for y in (0, half) for x in (0, half)]
    pairs = list(zip(parts, offsets, strict=True))
    return Sample(
        np.vstack(rows),
        np.concatenate([part.boxes + np.tile(offset, 2) for part, offset in pairs]),
        np.concatenate([part.landmarks + offset for part, offset in pairs]),
        np.concatenate([part.is_ignored for part in parts]),
    )


def draw_view(sample: Sample, side_px: int, random: np.random.Generator) -> Sample:
    """Draw a square view; what lies beyond the image is grey.

    Most often a face is chosen and its size drawn evenly in log scale, so that large and small faces are
    learnt alike (data-anchor sampling, Tang et al., ECCV 2018); else the whole image is shown.
    """
    scale, centre = _choose_frame(sample, side_px, random)
    angle = float(random.normal(0, 8)) if random.random() < 0.4 else 0.0
    is_mirrored = random.random() < 0.5
    matrix = _make_matrix(scale, angle, centre, side_px, is_mirrored=is_mirrored)
    image = _warp(sample.image, matrix, side_px, scale, random)
    boxes, landmarks = _move(sample, matrix, scale, is_mirrored=is_mirrored)
    shown = np.clip(boxes, 0, side_px)
    sides, shown_sides = boxes[:, 2:] - boxes[:, :2], shown[:, 2:] - shown[:, :2]
    share = shown_sides.prod(axis=1) / np.maximum(sides.prod(axis=1), 1e-6)
    is_there = (shown_sides > 1).all(axis=1)
    is_ignored = sample.is_ignored | (share < SEEN_SHARE) | (sides.max(axis=1) < SMALLEST_FACE_PX)
    return Sample(image, shown[is_there], landmarks[is_there], is_ignored[is_there])


def _choose_frame(
    sample: Sample, side_px: int, random: np.random.Generator
) -> tuple[float, npt.NDArray[np.float64]]:
    """Choose the scale and the point of the image that the view's middle shows."""
    height, width = sample.image.shape[:2]
    candidates = np.flatnonzero(~sample.is_ignored)
    if len(candidates) == 0 or random.random() < 0.2:
        scale = side_px / max(height, width) * random.uniform(0.8, 1.6)
        slack = np.maximum(0, np.array([width, height]) - side_px / scale) / 2
        return scale, np.array([width, height]) / 2 + random.uniform(-1, 1, 2) * slack
    box = sample.boxes[random.choice(candidates)]
    longer = float((box[2:] - box[:2]).max())
    wanted = float(np.exp(random.uniform(np.log(10), np.log(1.1 * side_px))))
    scale = min(max(wanted / longer, SHOWN_SHARE * side_px / max(height, width)), 3.0)
    slack = max(0.0, side_px / scale - longer) / 2
    return scale, (box[:2] + box[2:]) / 2 + random.uniform(-1, 1, 2) * slack


def _make_matrix(
    scale: float, angle: float, centre: npt.NDArray[np.float64], side_px: int, *, is_mirrored: bool
) -> npt.NDArray[np.float64]:
    cos, sin = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale
    turn = np.array([[cos, -sin], [sin, cos]])
    if is_mirrored:
        turn[0] = -turn[0]
    return np.column_stack([turn, side_px / 2 - turn @ centre])


def _warp(
    image: RgbImage, matrix: npt.NDArray[np.float64], side_px: int, scale: float, random: np.random.Generator
) -> RgbImage:
    factor = 1.0
    while scale / factor < 0.6:  # averaged down by halves first: no aliasing
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        factor /= 2
    halved = matrix.copy()
    halved[:, :2] /= factor
    view = cv2.warpAffine(image, halved, (side_px, side_px), flags=cv2.INTER_LINEAR, borderValue=(114,) * 3)
    return _relight(np.asarray(view, np.uint8), random)


def _relight(image: RgbImage, random: np.random.Generator) -> RgbImage:
    """Change contrast, brightness, colour; sometimes grey, soft, or coarse like a poor JPEG."""
    if random.random() < 0.2:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    if random.random() < 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(random.uniform(0.4, 1.6))), np.uint8)
    if random.random() < 0.15:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 80))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    gain = random.uniform(0.6, 1.4) * random.uniform(0.9, 1.1, 3)
    offset = random.uniform(-35, 35)
    table = np.clip(np.arange(256)[:, None] * gain + offset + 127.5 * (1 - gain.mean()), 0, 255)
    return np.asarray(cv2.LUT(image, table.astype(np.uint8)[None]), np.uint8)


def _move(
    sample: Sample, matrix: npt.NDArray[np.float64], scale: float, *, is_mirrored: bool
) -> tuple[Boxes, npt.NDArray[np.float32]]:
    """Map boxes and landmarks; a turned face keeps the size of its box."""
    centres = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    halves = (sample.boxes[:, 2:] - sample.boxes[:, :2]) * scale / 2
    boxes = np.hstack([centres - halves, centres + halves]).astype(np.float32)
    landmarks = (sample.landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return boxes, landmarks[:, MIRRORED] if is_mirrored else landmarks

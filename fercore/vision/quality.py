"""How well a face can be seen: size, blur, exposure, and pose by its landmarks.

Only measures: what is too low for a model stands in the model's card (`QualityBounds`).
"""

from functools import cache
from math import asin, atan2, degrees, sqrt

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.messages import FaceQuality, HeadPose
from fercore.vision.align import Points
from fercore.vision.crop import FaceCrop

SEEN_PX = 56
"""Blur is measured at half of a crop's side: detail below two of its pixels is beyond the models of today."""

BLURRING_PX = 9
BLACK, WHITE = 4, 251

DEPTHS = (0.0, 0.0, 0.41, 0.03, 0.03)
"""How far eyes, nose and mouth corners stand out, in distances of the eyes: those of a generic head."""


def assess(
    crop: FaceCrop,
    *,
    size_px: float,
    landmarks: Points | None,
    points: tuple[tuple[float, float], ...] | None,
) -> FaceQuality:
    """Measure one face.

    Args:
        crop: uint8 [112, 112, 3], RGB.
        size_px: side of the square that it was cropped from.
        landmarks: of the face in the image, if there are any.
        points: `Framing.points` of the detector that found them.

    Returns:
        The measures as they are; answers round them.
    """
    full = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    grey = np.asarray(cv2.resize(full, (SEEN_PX, SEEN_PX), interpolation=cv2.INTER_AREA), np.uint8)
    blur = measure_blur(grey)
    brightness, contrast = (float(values[0, 0]) / 255 for values in cv2.meanStdDev(grey))
    clipped = float(((grey <= BLACK) | (grey >= WHITE)).mean())
    return FaceQuality(
        size_px=size_px,
        blur=blur,
        brightness=brightness,
        contrast=contrast,
        clipped=clipped,
        pose=None if landmarks is None or points is None else estimate_pose(landmarks, points),
    )


def measure_blur(grey: npt.NDArray[np.uint8]) -> float:
    """Measure how little an image changes when it is blurred again (Crete et al., "The blur effect", 2007).

    Args:
        grey: uint8 [h, w].

    Returns:
        From 0 (sharp) to 1 (nothing is left to blur), whatever the contrast.
    """
    values = grey.astype(np.float32)
    shares = []
    for along in (values, values.T):
        again = cv2.blur(along, (1, BLURRING_PX))
        steps = cv2.absdiff(along[1:], along[:-1])
        lost = np.maximum(steps - cv2.absdiff(again[1:], again[:-1]), 0).sum()
        total = steps.sum()
        shares.append(float(1 - lost / total) if total > 0 else 1.0)
    return max(shares)


def estimate_pose(landmarks: Points, points: tuple[tuple[float, float], ...]) -> HeadPose | None:
    """Estimate how a head is turned from five landmarks.

    A scaled orthographic projection of a generic head is fitted (DeMenthon and Davis, "Model-based object
    pose in 25 lines of code", IJCV 15, 1995, without its iterations). The head's eyes, nose and mouth lie as
    `points` say and stand out by `DEPTHS`, so that a face with its landmarks there looks at the camera.

    Args:
        landmarks: of one face, in the image.
        points: their places in the canonical square for a level face.

    Returns:
        None where the landmarks coincide.
    """
    across, down = (_fit(points) @ (landmarks - landmarks.mean(axis=0))).T
    scale = float(np.linalg.norm(across) + np.linalg.norm(down)) / 2
    if not scale > 0:
        return None
    # the third axis of the head stands out of its face: where it points in the image tells yaw and pitch
    right, below = float(across[2]) / scale, float(down[2]) / scale
    ahead = sqrt(max(0.0, 1 - right * right - below * below))
    return HeadPose(
        yaw=round(degrees(atan2(right, ahead)), 1),
        pitch=round(degrees(asin(max(-1.0, min(1.0, -below)))), 1),
        roll=round(degrees(atan2(float(down[0]), float(across[0]))), 1),
    )


@cache
def _fit(points: tuple[tuple[float, float], ...]) -> npt.NDArray[np.float64]:
    """Return the matrix [3, 5] that fits a head's three axes to where its landmarks are seen."""
    head = np.column_stack([np.array(points), np.array(DEPTHS) * (points[1][0] - points[0][0])])
    return np.asarray(np.linalg.pinv(head - head.mean(axis=0)), np.float64)

"""Time detectors on one picture, in turn, so that a busy moment falls on all of them.

Knows a detector only by its seam.
"""

import time
from collections.abc import Mapping

import cv2
import numpy as np

from fercore.vision.crop import RgbImage
from fercore.vision.detection import Detector

ROUNDS, WARM_UP = 60, 5


def time_detectors(detectors: Mapping[str, Detector], picture: RgbImage) -> dict[str, float]:
    """Give the median milliseconds of each for one picture, on one thread."""
    cv2.setNumThreads(1)
    taken: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(ROUNDS):
        for name, detector in detectors.items():
            started = time.perf_counter()
            detector.detect(picture, min_face_px=24)
            taken[name].append((time.perf_counter() - started) * 1000)
    return {name: round(float(np.median(times[WARM_UP:])), 2) for name, times in taken.items()}

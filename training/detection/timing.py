"""Time detectors on one picture, in turn, so that a machine whose speed drifts keeps their ratio.

Knows a detector only by its seam: each works in the thread that calls it and starts none.
"""

import time
from collections.abc import Mapping

import cv2
import numpy as np

from fercore.vision.crop import RgbImage
from fercore.vision.detection import Detector
from training.data.primary_face import MIN_FACE_PX

ROUNDS, WARM_UP = 60, 5


def time_detectors(detectors: Mapping[str, Detector], picture: RgbImage) -> dict[str, float]:
    """Give the median milliseconds of CPU time of each for one picture; other programs' time is not in it."""
    cv2.setNumThreads(1)
    taken: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(ROUNDS):
        for name, detector in detectors.items():
            started = time.thread_time()
            detector.detect(picture, min_face_px=MIN_FACE_PX)
            taken[name].append((time.thread_time() - started) * 1000)
    return {name: round(float(np.median(times[WARM_UP:])), 2) for name, times in taken.items()}

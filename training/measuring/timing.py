"""Time graphs or detectors in turn on one thread, so that a machine whose speed drifts keeps their ratio."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2

from fercore.contracts.card import INPUT_NAME, LOGITS_NAME
from fercore.inference.session import ORT_FAULTS, open_session
from fercore.vision.crop import RgbImage
from fercore.vision.detection import Detector
from training.data.primary_face import MIN_FACE_PX
from training.errors import TrainingError
from training.measuring.graphs import Crops

TIMED_RUNS = 200
ROUNDS, WARM_UP = 60, 5
"""Of detectors; the first rounds do not count."""

_FAULTS: tuple[type[Exception], ...] = (*ORT_FAULTS, ValueError)


def time_graphs(files: Sequence[Path], face: Crops, runs: int = TIMED_RUNS) -> list[float]:
    """Return each graph's median time for one face, uint8 [1, 112, 112, 3], in milliseconds.

    Raises:
        TrainingError: a file is no graph of the tensor contract.
    """
    calls: list[Callable[[], object]] = []
    for file in files:
        try:
            calls.append(partial(open_session(file).run, [LOGITS_NAME], {INPUT_NAME: face}))
            calls[-1]()
        except _FAULTS as err:
            raise TrainingError(
                f"{file} is no graph that can be timed: {' '.join(str(err).split())}"
            ) from err
    return _median_ms(calls, runs)


def time_detectors(detectors: Mapping[str, Detector], image: RgbImage) -> dict[str, float]:
    """Return each detector's median time for one image, in milliseconds.

    Detectors work in the thread that calls them and start none.
    """
    cv2.setNumThreads(1)
    calls = [partial(detector.detect, image, min_face_px=MIN_FACE_PX) for detector in detectors.values()]
    medians = _median_ms(calls, ROUNDS, warm_up=WARM_UP)
    return {name: round(median, 2) for name, median in zip(detectors, medians, strict=True)}


def _median_ms(calls: Sequence[Callable[[], object]], rounds: int, *, warm_up: int = 0) -> list[float]:
    """Return each call's median CPU time in this thread: the time of other programs is not in it."""
    taken = [[0.0] * rounds for _ in calls]
    for number in range(rounds):
        for call, times in zip(calls, taken, strict=True):
            start = time.thread_time()
            call()
            times[number] = time.thread_time() - start
    return [1000 * statistics.median(times[warm_up:]) for times in taken]

"""Read frames of a video file or a camera, and write a video; needs OpenCV.

Knows no server.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ferclient.terminal.commands import Failure
from ferclient.terminal.drawing import BgrImage

JPEG_QUALITY = 90
USUAL_RATE = 25.0
"""Frames a second, of a video that does not say."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame.

    Attributes:
        index: 0-based, in the video or since the camera was opened.
        time_s: of its presentation; 0 for a camera.
        image: upright.
    """

    index: int
    time_s: float
    image: BgrImage


class Footage:
    """An open video or camera.

    Attributes:
        rate: frames a second.
        count: of frames, as the video says; None when it does not.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._capture = capture
        self.rate = rate if math.isfinite(rate) and rate > 0 else USUAL_RATE
        self.count = int(count) if count > 0 else None

    def shots(self, every: int = 1) -> Iterator[Shot]:
        """Read to the end; of so many frames one is given, the first among them."""
        index = 0
        while True:
            if index % every:
                if not self._capture.grab():
                    return
            else:
                is_read, image = self._capture.read()
                if not is_read:
                    return
                time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                yield Shot(index, time_s, np.asarray(image, np.uint8))
            index += 1


@contextmanager
def opened(source: str | int) -> Iterator[Footage]:
    """Open a file, an address or a camera by its number.

    Raises:
        Failure: it cannot be read.
    """
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a failure is told below, in one line
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            is_camera = isinstance(source, int)
            raise Failure(f"there is no camera {source}" if is_camera else f"{source} is no readable video")
        yield Footage(capture)
    finally:
        capture.release()


@contextmanager
def written(path: Path, rate: float, image: BgrImage) -> Iterator[cv2.VideoWriter]:
    """Write an mp4 of frames as large as `image`.

    Raises:
        Failure: this OpenCV cannot.
    """
    height, width = image.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    try:
        if not writer.isOpened():
            raise Failure(f"OpenCV cannot write {path}")
        yield writer
    finally:
        writer.release()


def jpeg(image: BgrImage) -> bytes:
    """Encode a frame as it is sent."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()

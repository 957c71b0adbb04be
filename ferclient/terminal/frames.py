"""Frames with their times: read those of a camera, and encode any to be sent; needs OpenCV."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import cv2
import numpy as np

from ferclient.terminal.commands import Failure
from ferclient.terminal.drawing import BgrImage

JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """One frame of a film or a camera.

    Attributes:
        index: 0-based, in the film or since the camera was opened.
        time_s: of its presentation; 0 for a camera.
        image: upright.
        duration_s: of its presentation, or about; 0 for a camera.
    """

    index: int
    time_s: float
    image: BgrImage
    duration_s: float = 0.0


@contextmanager
def open_camera(source: str | int) -> Iterator[Iterator[TimedFrame]]:
    """Open a camera by its number, an address, or a file that plays its part; yields its frames.

    Raises:
        Failure: it cannot be read.
    """
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # failures are raised below
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            is_camera = isinstance(source, int)
            raise Failure(f"there is no camera {source}" if is_camera else f"{source} is no readable video")
        yield _read_frames(capture)
    finally:
        capture.release()


def encode_jpeg(image: BgrImage) -> bytes:
    """Encode a frame as it is sent, in JPEG."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def _read_frames(capture: cv2.VideoCapture) -> Iterator[TimedFrame]:
    for index in count():
        is_read, image = capture.read()
        if not is_read:
            return
        yield TimedFrame(index, 0.0, np.asarray(image, np.uint8))

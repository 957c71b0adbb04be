"""Read frames of a camera, or of what OpenCV reads as one, and encode them to be sent; needs OpenCV.

Knows no server.
"""

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
class Shot:
    """One frame.

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


class Footage:
    """An open camera."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture

    def shots(self) -> Iterator[Shot]:
        """Read to the end."""
        for index in count():
            is_read, image = self._capture.read()
            if not is_read:
                return
            yield Shot(index, 0.0, np.asarray(image, np.uint8))


@contextmanager
def opened(source: str | int) -> Iterator[Footage]:
    """Open a camera by its number, an address, or a file that plays its part.

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


def jpeg(image: BgrImage) -> bytes:
    """Encode a frame as it is sent."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()

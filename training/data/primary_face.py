"""The faces of an image that serving would report, and the primary one: that with the highest score."""

import numpy as np
import numpy.typing as npt

from fercore.contracts.api import PredictOptions
from fercore.vision.align import Points
from fercore.vision.crop import RgbImage
from fercore.vision.detection import DETECT_SIZE_PX, Detections, Detector, detect_in
from fercore.vision.image import DecodedImage

MIN_SCORE = PredictOptions().min_score
MIN_FACE_PX = PredictOptions().min_face_px
"""Serving's defaults, and those of the commands."""

Box = npt.NDArray[np.float32]


def find_faces(
    detector: Detector,
    image: DecodedImage,
    *,
    min_score: float = MIN_SCORE,
    min_face_px: int = MIN_FACE_PX,
    longer_side_px: int = DETECT_SIZE_PX,
) -> Detections:
    """Find faces with at least this score and longer side, highest score first."""
    found = detect_in(detector, image, min_face_px=min_face_px, longer_side_px=longer_side_px)
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1, initial=0)
    kept = np.flatnonzero((found.scores >= min_score) & (sides >= min_face_px))
    kept = kept[np.argsort(-found.scores[kept], kind="stable")]
    return found.select(kept)


def find_primary_face(
    detector: Detector, image: RgbImage, *, min_score: float = MIN_SCORE, min_face_px: int = MIN_FACE_PX
) -> tuple[Box, Points | None] | None:
    """Return box, float32 [4], and landmarks, float32 [5, 2], of the face with the highest score, if any."""
    found = find_faces(detector, DecodedImage.in_full(image), min_score=min_score, min_face_px=min_face_px)
    return (found.boxes[0], found.landmarks_of(0)) if len(found.scores) else None

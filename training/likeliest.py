"""The likeliest face of a picture, found as serving finds faces.

Knows a detector only by its seam, and no framing.
"""

import numpy as np
import numpy.typing as npt

from fercore.contracts.api import PredictOptions
from fercore.vision.align import Points
from fercore.vision.crop import RgbImage
from fercore.vision.detection import Detector
from fercore.vision.picture import Picture, detect_in

MIN_SCORE = PredictOptions().min_score
MIN_FACE_PX = PredictOptions().min_face_px
"""What serving asks of a detector when nobody says otherwise; the commands' defaults too."""

Box = npt.NDArray[np.float32]


def find_likeliest(
    detector: Detector, image: RgbImage, *, min_score: float = MIN_SCORE, min_face_px: int = MIN_FACE_PX
) -> tuple[Box, Points | None] | None:
    """Give the likeliest face's box, float32 [4], and landmarks, float32 [5, 2], if the detector finds any.

    None where no face has a score of at least `min_score`.
    """
    found = detect_in(detector, Picture.in_full(image), min_face_px=min_face_px)
    if not (found.scores >= min_score).any():
        return None
    likeliest = found.scores.argmax()
    return found.boxes[likeliest], found.landmarks_of(likeliest)

"""What a face detector is: the seam that every plug-in in `services/detector/detectors/` fills.

A plug-in module offers `create(model_repository: Path) -> Detector`, and in `WEIGHTS` the files of the model
repository that it needs, if any; without them it is not offered. Serving and `python -m training` find faces
by this one `detect_in`.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from fercore.vision.crop import Boxes, Framing, RgbImage
from fercore.vision.image import DecodedImage

DETECT_SIZE_PX = 640
"""Default for the longer side of what a detector is shown."""


@dataclass(frozen=True, slots=True)
class Detections:
    """The faces of one image, in any order.

    Attributes:
        boxes: float32 [n, 4], x1 y1 x2 y2 in pixels of the given image; may reach beyond its edges.
        scores: float32 [n], in [0, 1].
        landmarks: float32 [n, 5, 2], x y of left eye, right eye, nose, left and right mouth corner as
            the viewer sees them; None where the detector finds none.
    """

    boxes: Boxes
    scores: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32] | None = None

    @classmethod
    def none(cls) -> "Detections":
        """Return the answer for an image without a face."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, kept: npt.NDArray[np.intp]) -> "Detections":
        """Return the faces at these places, in this order."""
        landmarks = None if self.landmarks is None else self.landmarks[kept]
        return Detections(self.boxes[kept], self.scores[kept], landmarks)

    def moved(
        self, scale: npt.NDArray[np.float32], offset: npt.NDArray[np.float32] | None = None
    ) -> "Detections":
        """Return the same faces in the pixels of another image.

        Args:
            scale: float32 [2], along x and y.
            offset: float32 [2], added after scaling; none by default.
        """
        shift = np.zeros(2, np.float32) if offset is None else offset
        landmarks = None if self.landmarks is None else self.landmarks * scale + shift
        return Detections(self.boxes * np.tile(scale, 2) + np.tile(shift, 2), self.scores, landmarks)

    def landmarks_of(self, index: int | np.intp) -> npt.NDArray[np.float32] | None:
        """Return the five landmarks of one face, float32 [5, 2]; None where the detector finds none."""
        return None if self.landmarks is None else self.landmarks[index]


class Detector(Protocol):
    """A face detector; `detect` is called from several threads at once and starts none of its own.

    Attributes:
        framing: how its boxes sit in the canonical square, and its landmarks if it finds any; measured by
            `python -m training framing`.
    """

    framing: Framing

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:
        """Find the faces of one upright image.

        Args:
            image: uint8 [height, width, 3], RGB, at least 1 x 1 pixels, of any proportion.
            min_face_px: faces with a longer side below this may be left out (a hint that saves time).
        """
        ...


def detect_in(
    detector: Detector, image: DecodedImage, *, min_face_px: int, longer_side_px: int = DETECT_SIZE_PX
) -> Detections:
    """Find the faces of an image, showing the detector no more pixels than it needs.

    Args:
        detector: is shown the image averaged down to at most `longer_side_px`.
        image: in full or reduced.
        min_face_px: in pixels of the full image; a hint, see `Detector.detect`.
        longer_side_px: in pixels.

    Returns:
        Boxes and landmarks in pixels of the full image.
    """
    height, width = image.pixels.shape[:2]
    scale = min(1.0, longer_side_px / max(height, width))
    shown = image.pixels
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shown = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), np.uint8)
    to_full = np.array([width / shown.shape[1], height / shown.shape[0]], np.float32) * image.scale
    found = detector.detect(shown, min_face_px=max(1, int(min_face_px / to_full.max())))
    if (to_full == 1).all():
        return found
    corner = np.array([image.left, image.top], np.float32)
    return found.moved(to_full, corner)

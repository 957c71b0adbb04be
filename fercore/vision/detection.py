"""What a face detector is: the seam that every plug-in in `services/detector/detectors/` fills.

Knows no particular detector. A plug-in module offers `create(model_repository: Path) -> Detector`, and in
`WEIGHTS` the files of the model repository that it needs, if any; without them it is not offered.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fercore.vision.crop import Boxes, Framing, RgbImage


@dataclass(frozen=True, slots=True)
class Detections:
    """The faces of one picture, in any order.

    Attributes:
        boxes: float32 [n, 4], x1 y1 x2 y2 in pixels of the given picture; may reach beyond its edges.
        scores: float32 [n], in [0, 1].
        landmarks: float32 [n, 5, 2], x y of left eye, right eye, nose, left and right mouth corner as
            the viewer sees them; None where the detector finds none.
    """

    boxes: Boxes
    scores: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32] | None = None

    @classmethod
    def none(cls) -> "Detections":
        """Give the answer for a picture without a face."""
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
        """Return the same faces in the pixels of another picture.

        Args:
            scale: float32 [2], along x and y.
            offset: float32 [2], added after scaling; none by default.
        """
        shift = np.zeros(2, np.float32) if offset is None else offset
        landmarks = None if self.landmarks is None else self.landmarks * scale + shift
        return Detections(self.boxes * np.tile(scale, 2) + np.tile(shift, 2), self.scores, landmarks)

    def landmarks_of(self, index: int | np.intp) -> npt.NDArray[np.float32] | None:
        """Give the five landmarks of one face, float32 [5, 2]; None where the detector finds none."""
        return None if self.landmarks is None else self.landmarks[index]


class Detector(Protocol):
    """A face detector; `detect` is called from several threads at once and starts none of its own.

    Attributes:
        framing: how its boxes sit in the canonical square, and its landmarks if it finds any; measured by
            `python -m training framing`.
    """

    framing: Framing

    def detect(self, image: RgbImage, *, min_face_px: int) -> Detections:
        """Find the faces of one upright picture.

        Args:
            image: uint8 [height, width, 3], RGB, at least 1 x 1 pixels, of any proportion.
            min_face_px: faces with a longer side below this may be left out (a hint that saves time).
        """
        ...

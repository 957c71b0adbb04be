"""Load scenes with their annotations; a finished detector adds landmarks and faces that lack annotations.

The teacher gives landmarks to the annotated faces that it finds too, and adds the faces that it alone has
found.
"""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from fercore.vision.boxes import iou
from fercore.vision.detection import Detections, Detector, detect_in
from fercore.vision.image import DecodedImage
from training.data.reading.images import open_image
from training.detection.config import TeacherConfig
from training.detection.views import Sample
from training.detection.wider import Scene

SAME_FACE_IOU = 0.45
SMALLEST_FACE_PX = 8


def load_samples(
    scenes: Sequence[Scene], teacher: Detector | None, config: TeacherConfig | None
) -> list[Sample]:
    """Decode each scene and ask the teacher, if there is one.

    Raises:
        TrainingError: an image is damaged.
    """
    samples = []
    for scene in tqdm(scenes, desc="reading images", unit="image"):
        image = DecodedImage.in_full(open_image(scene.file))
        nothing = np.full((len(scene.boxes), 5, 2), np.nan, np.float32)
        plain = Sample(image.pixels, scene.boxes, nothing, ~scene.is_valid)
        if teacher is None or config is None:
            samples.append(plain)
        else:
            samples.append(add_taught(plain, detect_in(teacher, image, min_face_px=SMALLEST_FACE_PX), config))
    return samples


def add_taught(plain: Sample, taught: Detections, config: TeacherConfig) -> Sample:
    """Join what is annotated with what a teacher found."""
    landmarks = plain.landmarks.copy()
    is_new = np.zeros(len(taught.boxes), bool)
    for index in np.flatnonzero(taught.scores >= config.unsure):
        shared = iou(taught.boxes[index], plain.boxes)
        is_new[index] = shared.max(initial=0) < SAME_FACE_IOU
        if not is_new[index] and taught.landmarks is not None:
            landmarks[shared.argmax()] = taught.landmarks[index]
    new = np.flatnonzero(is_new)
    unknown = np.full((len(new), 5, 2), np.nan, np.float32)
    return Sample(
        plain.image,
        np.concatenate([plain.boxes, taught.boxes[new]]),
        np.concatenate([landmarks, unknown if taught.landmarks is None else taught.landmarks[new]]),
        np.concatenate([plain.is_ignored, taught.scores[new] < config.sure]),
    )

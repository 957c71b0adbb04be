"""Measure detector, framing and model together on whole pictures: colour portraits of four expressions.

For measuring only: nothing is ever trained on these pictures.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.vision.align import aligned_square
from fercore.vision.crop import FaceCrop, crop_face
from fercore.vision.decode import decode
from fercore.vision.detection import Detector
from fercore.vision.picture import Picture, detect_in
from training.errors import TrainingError
from training.graphs import Crops, Logits

FOLDER = "portraits_4class"
EMOTION_OF = {
    "normal": Emotion.NEUTRAL,
    "happy": Emotion.HAPPINESS,
    "sad": Emotion.SADNESS,
    "angry": Emotion.ANGER,
}
FOUR: tuple[Emotion, ...] = tuple(emotion for emotion in EMOTIONS if emotion in EMOTION_OF.values())
"""What the portraits show, in canonical order."""


@dataclass(frozen=True, slots=True)
class FoundPortraits:
    """The portraits in which a face was found.

    Attributes:
        crops: uint8 [n, 112, 112, 3].
        labels: the true emotion of each, int64 [n], index in canonical order.
        missed: the true emotions of those in which none was found.
    """

    crops: Crops
    labels: np.ndarray[tuple[int], np.dtype[np.int64]]
    missed: tuple[int, ...]


def find_portraits(folder: Path, detector: Detector, *, min_face_px: int, min_score: float) -> FoundPortraits:
    """Crop the likeliest face of every portrait as serving does.

    Raises:
        TrainingError: the pictures or their labels are missing or wrong, or no face is found in any.
    """
    crops: list[FaceCrop] = []
    labels: list[int] = []
    missed: list[int] = []
    for data, emotion in tqdm(list(read_portraits(folder)), desc="detecting", unit="picture"):
        image = decode(data)
        found = detect_in(detector, Picture.in_full(image), min_face_px=min_face_px)
        if len(found.scores) == 0 or found.scores.max() < min_score:
            missed.append(EMOTIONS.index(emotion))
            continue
        likeliest = found.scores.argmax()
        square = aligned_square(found.boxes[likeliest], found.landmarks_of(likeliest), detector.framing)
        crops.append(crop_face(image, square))
        labels.append(EMOTIONS.index(emotion))
    if not crops:
        raise TrainingError(f"no face was found in any picture of {folder / FOLDER}")
    return FoundPortraits(np.stack(crops), np.array(labels, np.int64), tuple(missed))


def answer_among_four(logits: Logits) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give the likeliest of the four emotions that the portraits show, int64 [n], canonical index."""
    offered = np.array([EMOTIONS.index(emotion) for emotion in EMOTION_OF.values()])
    return np.asarray(offered[logits[:, offered].argmax(axis=1)], dtype=np.int64)


def read_portraits(data: Path) -> Iterator[tuple[bytes, Emotion]]:
    """Give each encoded picture of the data folder with the emotion that it shows.

    Raises:
        TrainingError: the pictures or their labels are missing or wrong.
    """
    folder = data / FOLDER
    try:
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield (folder / "images" / row["file"]).read_bytes(), EMOTION_OF[row["emotion"]]
    except OSError as err:
        raise TrainingError(
            f"cannot read {err.filename}: {err.strerror} (--data names the data folder)"
        ) from err
    except KeyError as err:
        raise TrainingError(f"{folder / 'labels.csv'}: no column or emotion {err}") from err

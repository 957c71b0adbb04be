"""Whole images to measure detector, framing and model together on: colour portraits of four expressions.

For measuring only: no model is trained on these images.
"""

import csv
from functools import partial
from pathlib import Path

import numpy as np

from fercore.contracts.emotions import EMOTIONS, Emotion
from training.data.reading.images import open_image
from training.errors import TrainingError
from training.measuring.alignment import Images
from training.measuring.metrics import Labels

FOLDER = "portraits_4class"
EMOTION_OF = {
    "normal": Emotion.NEUTRAL,
    "happy": Emotion.HAPPINESS,
    "sad": Emotion.SADNESS,
    "angry": Emotion.ANGER,
}
FOUR: tuple[Emotion, ...] = tuple(emotion for emotion in EMOTIONS if emotion in EMOTION_OF.values())
"""What the portraits show, in canonical order."""


def load_portraits(data: Path) -> tuple[Images, Labels]:
    """Return the portraits of the data folder, decoded on demand, and their labels.

    Returns:
        The images, which raise TrainingError where they are damaged, and int64 [n], index in `FOUR`.

    Raises:
        TrainingError: the labels are missing or wrong.
    """
    rows = list_portraits(data)
    labels = np.array([FOUR.index(emotion) for _, emotion in rows], np.int64)
    return [partial(open_image, file) for file, _ in rows], labels


def list_portraits(data: Path) -> list[tuple[Path, Emotion]]:
    """Return the file of each portrait of the data folder with its emotion.

    Raises:
        TrainingError: the labels are missing or wrong.
    """
    folder = data / FOLDER
    try:
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            rows = [
                (folder / "images" / row["file"], EMOTION_OF[row["emotion"]]) for row in csv.DictReader(file)
            ]
    except OSError as err:
        raise TrainingError(
            f"cannot read {err.filename}: {err.strerror} (--data names the data folder)"
        ) from err
    except KeyError as err:
        raise TrainingError(f"{folder / 'labels.csv'}: no column or emotion {err}") from err
    if not rows:
        raise TrainingError(f"{folder / 'labels.csv'} names no picture")
    return rows

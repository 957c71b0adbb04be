"""Folds for cross-validation that do not leak: a person, or copies of the same pixels, are in one fold only.

Knows no training. The same seed cuts the same folds.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from training.data.faces import NO_MAJORITY, Faces
from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Fold:
    """One part held out, and all others to train on."""

    train: Faces
    held_out: Faces


def cut_folds(faces: Faces, count: int, seed: int) -> list[Fold]:
    """Cut faces into folds in which emotions are as common as in the whole.

    Only faces with a clear majority are held out for judging; the others may be trained on.

    Raises:
        TrainingError: some emotion is too rare to be in every fold.
    """
    labels = np.where(faces.majority == NO_MAJORITY, faces.votes.argmax(axis=1), faces.majority)
    groups = _groups(faces)
    for label in range(faces.votes.shape[1]):
        kinds = len(set(groups[faces.majority == label].tolist()))
        if kinds < count:
            raise TrainingError(f"{count} folds need as many distinct faces or persons of each label: "
                                f"label {label} has {kinds}")  # fmt: skip
    cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    folds = []
    for _, rows in cutter.split(np.zeros(len(faces)), labels, groups):
        is_out = np.zeros(len(faces), np.bool_)
        is_out[rows] = True
        folds.append(Fold(faces.only(~is_out), faces.only(is_out & (faces.majority != NO_MAJORITY))))
    return folds


def _groups(faces: Faces) -> npt.NDArray[np.int64]:
    """Number what must not be parted, int64 [n]."""
    if faces.persons is not None:
        keys = faces.persons.tolist()
    else:
        keys = [hashlib.blake2b(tile.tobytes(), digest_size=16).digest() for tile in faces.tiles]
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)

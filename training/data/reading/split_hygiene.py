"""Splits that do not leak: copies are found, persons kept apart, missing splits cut with a seed."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fercore.contracts.emotions import Emotion
from training.data.faces import SPLITS, Faces, Split
from training.errors import TrainingError

Tiles = npt.NDArray[np.uint8]


def find_copies(tiles: Tiles, split_of_row: Sequence[object]) -> npt.NDArray[np.bool_]:
    """Return for each row whether exactly the same pixels are in another split too, bool [n]."""
    # hashes, since the pixels of a big data set would not fit into memory twice
    keys = [hashlib.blake2b(tile.tobytes(), digest_size=16).digest() for tile in tiles]
    seen_in: dict[bytes, set[object]] = {}
    for key, split in zip(keys, split_of_row, strict=True):
        seen_in.setdefault(key, set()).add(split)
    return np.array([len(seen_in[key]) > 1 for key in keys], np.bool_)


def cut_missing(
    splits: Sequence[Split], emotions: Sequence[Emotion], missing: Sequence[Split], share: float, seed: int
) -> list[Split]:
    """Move a share of each emotion's training rows into each split that the data set does not have.

    At least one row of every emotion stays in training; the same seed moves the same rows.
    """
    result = list(splits)
    random = np.random.default_rng(seed)
    for emotion in sorted(set(emotions)):
        rows = [
            row
            for row, (split, shown) in enumerate(zip(splits, emotions, strict=True))
            if shown == emotion and split == "train"
        ]
        shuffled = random.permutation(rows)
        wanted = max(1, round(share * len(rows)))
        for number, split in enumerate(missing):
            for row in shuffled[number * wanted : (number + 1) * wanted]:
                if row != shuffled[-1]:
                    result[int(row)] = split
    return result


def name_cut(missing: Sequence[Split]) -> dict[Split, str]:
    """Return names for the splits that `cut_missing` makes."""
    return {split: f"{split} cut from train" for split in missing}


def cut_by_person(persons: Sequence[str], share: float, seed: int) -> list[Split]:
    """Assign all rows of a person to one split: a share of the persons to validation, the same to test.

    Raises:
        TrainingError: there are fewer than three persons.
    """
    distinct = sorted(set(persons))
    if len(distinct) < len(SPLITS):
        raise TrainingError(f"{len(distinct)} persons cannot be split into {', '.join(SPLITS)}")
    shuffled = np.random.default_rng(seed).permutation(distinct).tolist()
    wanted = min(max(1, round(share * len(distinct))), (len(distinct) - 1) // 2)
    split_of: dict[str, Split] = dict.fromkeys(distinct, "train")
    split_of.update(dict.fromkeys(shuffled[:wanted], "validation"))
    split_of.update(dict.fromkeys(shuffled[wanted : 2 * wanted], "test"))
    return [split_of[person] for person in persons]


def check_splits(splits: dict[Split, Faces], labels: tuple[Emotion, ...], place: object) -> None:
    """Check that each split has rows, training has every emotion, and no person is in two splits.

    Raises:
        TrainingError: one of these does not hold.
    """
    for split, faces in splits.items():
        if not len(faces):
            raise TrainingError(f"{place}: the {split} split is empty")
    shown = set(splits["train"].majority.tolist())
    unseen = [emotion.value for number, emotion in enumerate(labels) if number not in shown]
    if unseen:
        raise TrainingError(f"{place}: no training face shows {', '.join(unseen)}")
    met: dict[str, Split] = {}
    for split, faces in splits.items():
        for person in () if faces.persons is None else set(faces.persons.tolist()):
            if met.setdefault(person, split) != split:
                raise TrainingError(f"{place}: person {person} is both in {met[person]} and in {split}")

"""FER2013 as a csv for each split without `Usage`, such as `train.csv` and `test.csv` of Kaggle's challenge.

Such files do not say which rows of `test.csv` are PublicTest's.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fercore.contracts.emotions import Emotion
from training.data.faces import Split
from training.data.reading.class_labels import match_number
from training.data.reading.fer_rows import FER2013_ORDER, read_pixels
from training.data.reading.files import FileReader, list_folder
from training.data.reading.folders import SPLIT_OF_NAME
from training.data.reading.split_hygiene import Tiles
from training.errors import TrainingError


@dataclass(slots=True)
class SplitRows:
    """The rows that have labels.

    Attributes:
        tiles: uint8 [n, 48, 48], a part for each file.
        emotions: one a row.
        splits: one a row, that of its file.
        unlabelled: how many rows of a file have no labels, by reason.
    """

    tiles: list[Tiles] = field(default_factory=list)
    emotions: list[Emotion] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    unlabelled: Counter[str] = field(default_factory=Counter)

    def stack(self) -> Tiles:
        """Return all tiles, uint8 [n, 48, 48]."""
        return np.concatenate(self.tiles)


def find_split_csvs(root: Path) -> dict[Split, Path]:
    """Find csv files named after splits, training first; none without a training file.

    Raises:
        TrainingError: two are for one split.
    """
    found: dict[Split, Path] = {}
    for path in list_folder(root) if root.is_dir() else ():
        split = SPLIT_OF_NAME.get(path.stem.casefold())
        if split is None or path.suffix.lower() != ".csv":
            continue
        if split in found:
            raise TrainingError(f"{path}: it and {found[split]} both hold the {split} rows")
        found[split] = path
    order: tuple[Split, ...] = ("train", "validation", "test")
    return {split: found[split] for split in order if split in found} if "train" in found else {}


def read_split_csvs(files: dict[Split, Path], reader: FileReader) -> SplitRows:
    """Read the files; `test.csv` of the challenge has no labels, so its rows are counted and left out.

    Raises:
        TrainingError: a file cannot be read, is not of this format, or has a column Usage.
    """
    found = SplitRows()
    for split, path in files.items():
        rows = reader.read_csv(path, ("emotion", "pixels") if split == "train" else ("pixels",))
        if "Usage" in rows[0][1]:
            raise TrainingError(
                f"{path}: it has a column Usage; such rows are read from one file fer2013.csv"
            )
        if "emotion" not in rows[0][1]:
            found.unlabelled[f"rows of {path.name}, which has no labels"] = len(rows)
            continue
        found.emotions += [
            match_number(row["emotion"], FER2013_ORDER, f"{path}, line {line}") for line, row in rows
        ]
        found.splits += [split] * len(rows)
        found.tiles.append(read_pixels(path, [(line, row["pixels"]) for line, row in rows]))
    return found

"""The labelled faces of one split, whatever data set they come from.

Each module in `training/data/sets/` reads one data set and offers `load`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from fercore.contracts.card import FACE_SIZE, DataSource
from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.vision.crop import crop_whole

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

NO_MAJORITY = -1


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces already framed canonically, with their labels.

    Attributes:
        tiles: uint8 [n, h, w] grey or [n, h, w, 3] RGB.
        votes: float32 [n, K], the share of each of the data set's labels, in their order; a row sums to 1.
        majority: int64 [n], index of the label with a clear majority, or `NO_MAJORITY`.
        is_certain: bool [n], the label certainly belongs to the tile.
        is_copied: bool [n], the same pixels are in another split too.
        admissible: bool [n, K], labels with enough votes to be acceptable (multi-label targets), at least
            one a row; None where the data set has one label a face.
        persons: str [n], who is shown; None where it is not known.
    """

    tiles: npt.NDArray[np.uint8]
    votes: npt.NDArray[np.float32]
    majority: npt.NDArray[np.int64]
    is_certain: npt.NDArray[np.bool_]
    is_copied: npt.NDArray[np.bool_]
    admissible: npt.NDArray[np.bool_] | None = None
    persons: npt.NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.tiles)

    def select(self, keep: npt.NDArray[np.bool_]) -> "Faces":
        """Return the rows where `keep`, bool [n], holds."""
        return Faces(
            self.tiles[keep],
            self.votes[keep],
            self.majority[keep],
            self.is_certain[keep],
            self.is_copied[keep],
            None if self.admissible is None else self.admissible[keep],
            None if self.persons is None else self.persons[keep],
        )

    def crop(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint8]:
        """Crop tiles with the serving function: uint8 [stop - start, 112, 112, 3], RGB."""
        tiles = self.tiles[start:stop]
        out = np.empty((len(tiles), FACE_SIZE, FACE_SIZE, 3), np.uint8)
        for index, tile in enumerate(tiles):
            rgb = tile if tile.ndim == 3 else np.repeat(tile[:, :, None], 3, axis=2)
            out[index] = crop_whole(rgb)
        return out


@dataclass(frozen=True, slots=True)
class DataSet:
    """All splits of a data set.

    Attributes:
        splits: the faces by split; evaluation splits hold every row that the data set's own rule keeps.
        sources: names and terms, `rows` being the size of the training split.
        sha256: of the files that were read.
        labels: its emotions, in canonical order; the columns of votes and the values of majorities.
        dropped: how many rows were left out, by reason.
        warnings: what readers of figures measured on it must know.
        split_names: what its authors call its splits, or how they were cut, where it differs from `Split`.
    """

    splits: dict[Split, Faces]
    sources: tuple[DataSource, ...]
    sha256: str
    labels: tuple[Emotion, ...] = EMOTIONS
    dropped: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    split_names: Mapping[Split, str] = field(default_factory=dict)

    def name_of(self, split: Split) -> str:
        """Return the name of a split for figures measured on it."""
        return self.split_names.get(split, split)

    def report(self) -> tuple[str, ...]:
        """Return a line for each warning and for each reason why rows were left out."""
        return (
            *(f"warning: {warning}" for warning in self.warnings),
            *(f"left out: {rows} {reason}" for reason, rows in self.dropped.items()),
        )

"""The labelled faces of one split, whatever data set they come from.

Knows no file format; a module in `training/datasets/` reads one and offers `load`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fercore.contracts.card import FACE_SIZE, DataSource
from fercore.vision.crop import crop_whole

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

NO_MAJORITY = -1


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces already framed canonically, with their labels.

    Attributes:
        tiles: uint8 [n, h, w] grey or [n, h, w, 3] RGB.
        votes: float32 [n, 8], the share of each emotion in canonical order; a row sums to 1.
        majority: int64 [n], index of the emotion with a clear majority, or `NO_MAJORITY`.
        is_certain: bool [n], the label surely belongs to the tile.
        is_copied: bool [n], the same pixels stand in another split as well.
    """

    tiles: npt.NDArray[np.uint8]
    votes: npt.NDArray[np.float32]
    majority: npt.NDArray[np.int64]
    is_certain: npt.NDArray[np.bool_]
    is_copied: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.tiles)

    def only(self, keep: npt.NDArray[np.bool_]) -> "Faces":
        """Give the rows where `keep`, bool [n], holds."""
        return Faces(
            self.tiles[keep],
            self.votes[keep],
            self.majority[keep],
            self.is_certain[keep],
            self.is_copied[keep],
        )

    def crops(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint8]:
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
    """

    splits: dict[Split, Faces]
    sources: tuple[DataSource, ...]
    sha256: str

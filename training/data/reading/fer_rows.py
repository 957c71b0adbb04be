"""The rows of FER2013 in their original order, from the PNG atlases or from a csv of Kaggle.

CK+ as a csv has the same format and is read here too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fercore.contracts.emotions import Emotion
from training.data.faces import SPLITS, Split
from training.data.reading.class_labels import match_number
from training.data.reading.files import FileReader
from training.data.reading.folders import refuse_layout
from training.data.reading.split_hygiene import Tiles
from training.errors import TrainingError

TILE = 48
TILES_A_ROW = 120
ATLASES = ("train_a.png", "train_b.png", "eval.png")
ATLAS_LABELS = "labels.csv"
KAGGLE_FILES = ("fer2013.csv", "icml_face_data.csv")
ROW_LAYOUTS = (
    f"{ATLAS_LABELS} with {', '.join(ATLASES)}",
    f"{' or '.join(KAGGLE_FILES)} with emotion, pixels and Usage",
)
LABEL_COLUMNS = ("row", "atlas", "tile", "emotion", "usage", "label_row_certain", "pixel_exact")
PIXEL_COLUMNS = ("emotion", "pixels", "Usage")
USAGES = ("Training", "PublicTest", "PrivateTest")
SPLIT_NAMES: dict[Split, str] = dict(zip(SPLITS, USAGES, strict=True))

FER2013_ORDER = (
    Emotion.ANGER,
    Emotion.DISGUST,
    Emotion.FEAR,
    Emotion.HAPPINESS,
    Emotion.SADNESS,
    Emotion.SURPRISE,
    Emotion.NEUTRAL,
)
"""The numbers of FER2013's labels, from 0."""


@dataclass(frozen=True, slots=True)
class FerRows:
    """All rows, in the order of the original csv.

    Attributes:
        file: the file with the labels.
        emotions: the original label of each row.
        usages: int64 [n], index in `USAGES`.
        is_certain: bool [n].
        read_tiles: gives uint8 [n, 48, 48]; apart, so that labels are checked before pixels are read.
    """

    file: Path
    emotions: list[Emotion]
    usages: np.ndarray[tuple[int], np.dtype[np.int64]]
    is_certain: np.ndarray[tuple[int], np.dtype[np.bool_]]
    read_tiles: Callable[[], Tiles]


def find_kaggle_csv(root: Path) -> Path | None:
    """Return the csv of Kaggle in a folder, if there is one and no atlas labels, which come first."""
    if (root / ATLAS_LABELS).exists():
        return None
    return next((root / name for name in KAGGLE_FILES if (root / name).exists()), None)


def read_fer_rows(root: Path, reader: FileReader) -> FerRows:
    """Read the atlases' labels or, without them, a csv of Kaggle.

    Raises:
        TrainingError: a file is missing or is not of its format.
    """
    kaggle = find_kaggle_csv(root)
    if not kaggle and root.is_dir() and not (root / ATLAS_LABELS).exists():
        raise refuse_layout(root, "FER2013 with its rows in order", ROW_LAYOUTS)
    return read_pixel_csv(kaggle, reader, FER2013_ORDER) if kaggle else _read_atlas_rows(root, reader)


def read_pixel_csv(path: Path, reader: FileReader, order: tuple[Emotion, ...]) -> FerRows:
    """Read a csv with a tile's 2,304 grey values in each row.

    Args:
        path: the file, columns `emotion`, `pixels` and `Usage`.
        reader: reads it.
        order: what the numbers of emotions mean.

    Raises:
        TrainingError: a row is not of this format; the message names its line.
    """
    rows = reader.read_csv(path, PIXEL_COLUMNS)
    emotions, usages = [], []
    for line, row in rows:
        emotions.append(match_number(row["emotion"], order, f"{path}, line {line}"))
        usages.append(_parse_usage(row["Usage"], f"{path}, line {line}"))
    return FerRows(
        path,
        emotions,
        np.array(usages, np.int64),
        np.ones(len(rows), np.bool_),
        partial(read_pixels, path, [(line, row["pixels"]) for line, row in rows]),
    )


def _parse_usage(text: str, place: str) -> int:
    try:
        return USAGES.index(text.strip())
    except ValueError as err:
        raise TrainingError(f"{place}: no usage is called {text!r}; known are {', '.join(USAGES)}") from err


def read_pixels(path: Path, texts: list[tuple[int, str]]) -> Tiles:
    """Return the tiles of rows of 2,304 grey values, uint8 [n, 48, 48].

    Args:
        path: the file, for messages.
        texts: the line and the values of each row.

    Raises:
        TrainingError: a row is not of this format; the message names its line.
    """
    tiles = np.empty((len(texts), TILE, TILE), np.uint8)
    for index, (line, text) in enumerate(texts):
        try:
            values = bytes(map(int, text.split()))
        except ValueError as err:
            raise TrainingError(f"{path}, line {line}: pixels must be whole numbers from 0 to 255") from err
        if len(values) != TILE * TILE:
            raise TrainingError(
                f"{path}, line {line}: {len(values)} pixels instead of {TILE * TILE} ({TILE}x{TILE})"
            )
        tiles[index] = np.frombuffer(values, np.uint8).reshape(TILE, TILE)
    return tiles


def _read_atlas_rows(root: Path, reader: FileReader) -> FerRows:
    path = root / ATLAS_LABELS
    rows = reader.read_csv(path, LABEL_COLUMNS)
    numbers: list[tuple[int, int]] = []
    for index, (line, row) in enumerate(rows):
        try:
            own_index, usage, tile = int(row["row"]), int(row["usage"]), int(row["tile"])
        except ValueError as err:
            raise TrainingError(
                f"{path}, line {line}: row, usage and tile must be whole numbers ({err})"
            ) from err
        if own_index != index or not 0 <= usage < len(USAGES) or tile < 0:
            raise TrainingError(
                f"{path}, line {line}: row {own_index}, usage {usage} or tile {tile} is wrong"
            )
        numbers.append((usage, tile))
    return FerRows(
        path,
        [match_number(row["emotion"], FER2013_ORDER, f"{path}, line {line}") for line, row in rows],
        np.array([usage for usage, _ in numbers], np.int64),
        np.array([row["label_row_certain"] == "1" for _, row in rows], np.bool_),
        partial(
            _read_atlas_tiles,
            root,
            reader,
            [(row["atlas"], tile) for (_, row), (_, tile) in zip(rows, numbers, strict=True)],
        ),
    )


def _read_atlas_tiles(root: Path, reader: FileReader, places: list[tuple[str, int]]) -> Tiles:
    # in this order, whatever the labels' own: the hash of what was read depends on it
    atlases = {name: _read_atlas(root / name, reader) for name in ATLASES if (root / name).is_file()}
    return np.stack([_cut_tile(root, atlases, name, tile) for name, tile in places])


def _read_atlas(path: Path, reader: FileReader) -> Tiles:
    atlas = cv2.imdecode(np.frombuffer(reader.read(path), np.uint8), cv2.IMREAD_GRAYSCALE)
    if atlas is None:
        raise TrainingError(f"{path}: the atlas does not decode")
    return np.asarray(atlas, dtype=np.uint8)


def _cut_tile(root: Path, atlases: Mapping[str, Tiles], name: str, tile: int) -> Tiles:
    if name not in atlases:
        raise TrainingError(f"cannot read the atlas {root / name} (--data names the data folder)")
    down, right = divmod(tile, TILES_A_ROW)
    found = atlases[name][down * TILE : (down + 1) * TILE, right * TILE : (right + 1) * TILE]
    if found.shape != (TILE, TILE):
        raise TrainingError(f"{root / name}: it has no tile {tile}")
    return found

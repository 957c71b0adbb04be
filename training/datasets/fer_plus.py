"""FER+: the FER2013 tiles with the votes of ten taggers (Barsoum et al., ICMI 2016).

Knows the files `labels.csv`, `fer2013new.csv` and the three PNG atlases, and nothing of training.
"""

import csv
import hashlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.card import DataSource
from fercore.contracts.emotions import EMOTIONS
from training.errors import TrainingError
from training.faces import NO_MAJORITY, SPLITS, DataSet, Faces, Split

FOLDER = "fer2013"
TILE = 48
TILES_A_ROW = 120
ATLASES = ("train_a.png", "train_b.png", "eval.png")
LABEL_COLUMNS = ("row", "atlas", "tile", "emotion", "usage", "label_row_certain", "pixel_exact")
VOTE_COLUMNS = ("Usage", "Image name", *(emotion.value for emotion in EMOTIONS), "unknown", "NF")
USAGES: tuple[str, ...] = ("Training", "PublicTest", "PrivateTest")


def load(folder: Path, training_rows: str) -> DataSet:
    """Read FER+.

    Evaluation splits hold the rows with a clear majority (3,199 and 3,153). The training split also
    leaves out pixel copies of evaluation rows and rows whose label may belong to another tile.

    Args:
        folder: the data folder, which holds `fer2013/`.
        training_rows: "majority" (a clear majority) or "voted" (the top vote is an emotion at all).

    Raises:
        TrainingError: a file is missing or is not of this format.
    """
    root = folder / FOLDER
    labels = _read_csv(root / "labels.csv", LABEL_COLUMNS)
    raw_votes = _read_csv(root / "fer2013new.csv", VOTE_COLUMNS)
    if len(labels) != len(raw_votes):
        raise TrainingError(f"{root}: labels.csv has {len(labels)} rows, fer2013new.csv {len(raw_votes)}")
    try:
        usage = np.array([int(row["usage"]) for row in labels])
        counts = np.array([[int(row[name]) for name in VOTE_COLUMNS[2:]] for row in raw_votes], np.int64)
    except ValueError as err:
        raise TrainingError(f"{root}: usages and votes must be whole numbers ({err})") from err
    for index, (row, votes_row) in enumerate(zip(labels, raw_votes, strict=True)):
        if int(row["row"]) != index or USAGES[usage[index]] != votes_row["Usage"]:
            raise TrainingError(
                f"{root}: row {index} of labels.csv and fer2013new.csv do not belong together"
            )
    votes, majority, is_voted = judge_votes(counts)
    tiles = _read_tiles(root, labels)
    everything = Faces(
        tiles=tiles,
        votes=votes,
        majority=majority,
        is_certain=np.array([row["label_row_certain"] == "1" for row in labels]),
        is_copied=_is_copied(tiles, usage),
    )
    has_majority = majority != NO_MAJORITY
    in_training = is_voted if training_rows == "voted" else has_majority
    splits: dict[Split, Faces] = {}
    for number, split in enumerate(SPLITS):
        keep = (usage == number) & has_majority
        if split == "train":
            keep = (usage == number) & in_training & everything.is_certain & ~everything.is_copied
        splits[split] = everything.only(keep)
    rows = max(1, len(splits["train"]))
    return DataSet(
        splits=splits,
        sources=(
            DataSource(name="FER2013 images", terms="research use, images gathered from the web", rows=rows),
            DataSource(name="FER+ labels", terms="MIT", rows=rows),
        ),
        sha256=_hash_files(
            [root / "labels.csv", root / "fer2013new.csv", *(root / name for name in ATLASES)]
        ),
    )


def judge_votes(
    counts: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Apply the rule of FER+'s authors: single votes are outliers; a majority is more than half.

    Args:
        counts: int64 [n, 10], votes for the eight emotions, then `unknown` and `NF` (no face).

    Returns:
        The share of each emotion, float32 [n, 8]; the emotion with a clear majority or `NO_MAJORITY`,
        int64 [n]; whether the most frequent answer is an emotion at all, bool [n].
    """
    kept = np.where(counts > 1, counts, 0)
    emotions = kept[:, : len(EMOTIONS)]
    top = kept.argmax(axis=1)
    is_voted = (top < len(EMOTIONS)) & (emotions.sum(axis=1) > 0)
    is_clear = is_voted & (2 * kept.max(axis=1) > kept.sum(axis=1))
    total = np.maximum(emotions.sum(axis=1, keepdims=True), 1)
    votes = (emotions / total).astype(np.float32)
    votes[~is_voted] = 1 / len(EMOTIONS)
    return votes, np.where(is_clear, top, NO_MAJORITY), is_voted


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != columns:
                raise TrainingError(f"{path}: the columns must be {', '.join(columns)}")
            return list(reader)
    except OSError as err:
        raise TrainingError(f"cannot read {path}: {err.strerror} (--data names the data folder)") from err


def _read_tiles(root: Path, labels: list[dict[str, str]]) -> npt.NDArray[np.uint8]:
    tiles = np.empty((len(labels), TILE, TILE), np.uint8)
    atlases: dict[str, npt.NDArray[np.uint8]] = {}
    for index, row in enumerate(labels):
        name = row["atlas"]
        if name not in atlases:
            atlases[name] = _read_atlas(root / name)
        down, right = divmod(int(row["tile"]), TILES_A_ROW)
        tile = atlases[name][down * TILE : (down + 1) * TILE, right * TILE : (right + 1) * TILE]
        if tile.shape != (TILE, TILE):
            raise TrainingError(f"{root / name}: it has no tile {row['tile']}")
        tiles[index] = tile
    return tiles


def _read_atlas(path: Path) -> npt.NDArray[np.uint8]:
    atlas = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.name in ATLASES else None
    if atlas is None:
        raise TrainingError(f"cannot read the atlas {path} (--data names the data folder)")
    return np.asarray(atlas, dtype=np.uint8)


def _is_copied(tiles: npt.NDArray[np.uint8], usage: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    keys = [tile.tobytes() for tile in tiles]
    seen_in: dict[bytes, set[int]] = {}
    for key, number in zip(keys, usage.tolist(), strict=True):
        seen_in.setdefault(key, set()).add(int(number))
    return np.array([len(seen_in[key]) > 1 for key in keys])


def _hash_files(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()

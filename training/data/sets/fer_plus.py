"""FER+: the FER2013 tiles with the votes of ten taggers (Barsoum et al., ICMI 2016).

Reads `fer2013new.csv`, joined by row to the FER2013 rows (atlases or a csv of Kaggle).
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fercore.contracts.card import DataSource
from fercore.contracts.emotions import EMOTIONS
from training.data.faces import NO_MAJORITY, SPLITS, DataSet, Faces, Split
from training.data.reading.assembly import COPIES, UNCERTAIN
from training.data.reading.fer_rows import SPLIT_NAMES, USAGES, read_fer_rows
from training.data.reading.files import FileReader
from training.data.reading.options import ReaderOptions
from training.data.reading.split_hygiene import find_copies
from training.errors import TrainingError

VOTES_FILE = "fer2013new.csv"
VOTE_COLUMNS = ("Usage", "Image name", *(emotion.value for emotion in EMOTIONS), "unknown", "NF")
ADMISSIBLE_SHARE = 0.3
"""From this share of the votes on a label is admissible (the authors' `multi_target`)."""


class Options(ReaderOptions):
    """Where the files are."""

    path: str = "fer2013"


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:
    """Read FER+.

    Evaluation splits hold the rows with a clear majority (3,199 and 3,153). The training split also
    leaves out pixel copies of evaluation rows and rows whose label may belong to another tile.

    Args:
        folder: the data folder, which holds `fer2013/`.
        training_rows: "majority" (a clear majority) or "voted" (the top vote is an emotion at all).
        options: see `Options`.

    Raises:
        TrainingError: a file is missing or is not of this format.
    """
    root = folder / Options.model_validate(options or {}).path
    reader = FileReader(root)
    rows = read_fer_rows(root, reader)
    raw_votes = reader.read_csv(root / VOTES_FILE, VOTE_COLUMNS)
    if len(rows.usages) != len(raw_votes):
        raise TrainingError(
            f"{root}: {rows.file.name} has {len(rows.usages)} rows, {VOTES_FILE} {len(raw_votes)}"
        )
    for index, (usage, (_, row)) in enumerate(zip(rows.usages.tolist(), raw_votes, strict=True)):
        if USAGES[usage] != row["Usage"]:
            raise TrainingError(
                f"{root}: row {index} of {rows.file.name} and {VOTES_FILE} do not belong together"
            )
    counts = np.array([_count_votes(root, line, row) for line, row in raw_votes], np.int64)
    votes, majority, is_voted = judge_votes(counts)
    tiles = rows.read_tiles()
    everything = Faces(
        tiles=tiles,
        votes=votes,
        majority=majority,
        is_certain=rows.is_certain,
        is_copied=find_copies(tiles, rows.usages.tolist()),
        admissible=judge_admissible(counts),
    )
    has_majority = majority != NO_MAJORITY
    is_wanted = is_voted if training_rows == "voted" else has_majority
    dropped: Counter[str] = Counter()
    splits: dict[Split, Faces] = {}
    for number, split in enumerate(SPLITS):
        keep = (rows.usages == number) & (is_wanted if split == "train" else has_majority)
        dropped[f"{split} rows whose votes name no emotion clearly"] = int(
            (rows.usages == number).sum() - keep.sum()
        )
        if split == "train":
            dropped[COPIES] = int((keep & everything.is_copied).sum())
            dropped[UNCERTAIN] = int((keep & ~everything.is_copied & ~everything.is_certain).sum())
            keep &= everything.is_certain & ~everything.is_copied
        splits[split] = everything.select(keep)
    size = max(1, len(splits["train"]))
    return DataSet(
        splits=splits,
        sources=(
            DataSource(name="FER2013 images", terms="research use, images gathered from the web", rows=size),
            DataSource(name="FER+ labels", terms="MIT", rows=size),
        ),
        sha256=reader.sha256(),
        dropped=+dropped,
        split_names=SPLIT_NAMES,
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


def judge_admissible(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which emotions have at least 30 % of the votes, single votes apart (multi-label targets).

    The authors leave out rows whose admissible labels have half of the votes or less; here the most frequent
    emotion is always admissible, and `training_rows` alone selects the training rows.

    Args:
        counts: int64 [n, 10], as `judge_votes` takes them.

    Returns:
        bool [n, 8], at least one in each row.
    """
    kept = np.where(counts > 1, counts, 0)
    emotions = kept[:, : len(EMOTIONS)]
    is_often_named = (emotions > 0) & (emotions >= ADMISSIBLE_SHARE * kept.sum(axis=1, keepdims=True))
    return np.asarray(is_often_named | (emotions == emotions.max(axis=1, keepdims=True)), np.bool_)


def _count_votes(root: Path, line: int, row: Mapping[str, str]) -> list[int]:
    try:
        counts = [int(row[name]) for name in VOTE_COLUMNS[2:]]
    except ValueError as err:
        raise TrainingError(f"{root / VOTES_FILE}, line {line}: votes must be whole numbers ({err})") from err
    if min(counts) < 0:
        raise TrainingError(f"{root / VOTES_FILE}, line {line}: votes must not be negative")
    return counts

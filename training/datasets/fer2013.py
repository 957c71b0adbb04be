"""FER2013 with its seven original labels (Goodfellow et al., ICONIP 2013).

Knows the PNG atlases, the csv files of Kaggle (both read by `fer_rows`) and image folders, but no votes.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fercore.contracts.emotions import Emotion
from training.faces import SPLITS, DataSet, Split
from training.reading.assembly import LabelledRows, Provenance, assemble
from training.reading.class_folders import list_class_folders
from training.reading.fer_rows import (
    ATLAS_LABELS,
    SPLIT_NAMES,
    TILE,
    USAGES,
    find_kaggle_csv,
    read_fer_rows,
)
from training.reading.intake import Intake
from training.reading.options import SplitOptions
from training.reading.pictures import read_grey_tiles
from training.reading.split_hygiene import cut_missing, name_cut

NAME, TERMS = "FER2013", "research use, images gathered from the web"
SPLIT_OF_USAGE: dict[str, Split] = dict(zip(USAGES, SPLITS, strict=True))


class Options(SplitOptions):
    """Where the files are, and how validation is cut from folders that have none."""

    path: str = "fer2013"


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:  # noqa: ARG001 - no votes here
    """Read FER2013: the atlases, else a csv of Kaggle, else image folders.

    Training is `Training`, validation `PublicTest` and test `PrivateTest`; evaluation splits hold every row.

    Raises:
        TrainingError: a file is missing or is not of this format.
    """
    chosen = Options.model_validate(options or {})
    root = folder / chosen.path
    if not (root / ATLAS_LABELS).exists() and not find_kaggle_csv(root) and (root / "train").is_dir():
        return _read_folders(root, chosen)
    intake = Intake(root)
    rows = read_fer_rows(root, intake)
    found = LabelledRows(
        tiles=rows.read_tiles(),
        emotions=rows.emotions,
        splits=[SPLITS[usage] for usage in rows.usages.tolist()],
        is_certain=rows.is_certain.tolist(),
    )
    provenance = Provenance(rows.file, NAME, TERMS, intake.sha256(), split_names=SPLIT_NAMES)
    return assemble(found, provenance)


def _read_folders(root: Path, chosen: Options) -> DataSet:
    """Read `train/<class>/` and `test/<class>/`.

    In the copy that most people have, `test/` holds both evaluation splits and a file's name begins with its
    usage; where names do not tell, validation is cut from training.
    """
    paths: list[Path] = []
    emotions: list[Emotion] = []
    splits: list[Split] = []
    given: tuple[Split, ...] = ("train", "test")
    for split in given:
        for path, emotion in list_class_folders(root / split):
            paths.append(path)
            emotions.append(emotion)
            splits.append(SPLIT_OF_USAGE.get(path.name.partition("_")[0], split))
    warnings: tuple[str, ...] = ()
    split_names = SPLIT_NAMES
    if "validation" not in splits:
        splits = cut_missing(splits, emotions, ["validation"], chosen.share, chosen.seed)
        warnings = (f"{root}: PublicTest cannot be told from PrivateTest, both are test",)
        split_names = name_cut(["validation"])
    intake = Intake(root)
    tiles = read_grey_tiles(paths, intake, TILE)
    provenance = Provenance(root, NAME, TERMS, intake.sha256(), Counter(), warnings, split_names)
    return assemble(LabelledRows(tiles, emotions, splits), provenance)

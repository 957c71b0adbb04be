"""FER2013 with its seven original labels (Goodfellow et al., ICONIP 2013).

Reads the PNG atlases, the csv files of Kaggle with `Usage` and without, and image folders.
"""

from collections.abc import Mapping
from pathlib import Path

from fercore.contracts.emotions import Emotion
from training.data.faces import SPLITS, DataSet, Split
from training.data.reading.assembly import LabelledRows, Provenance, assemble
from training.data.reading.class_labels import ClassLabels
from training.data.reading.fer_rows import (
    ATLAS_LABELS,
    FER2013_ORDER,
    ROW_LAYOUTS,
    SPLIT_NAMES,
    TILE,
    USAGES,
    find_kaggle_csv,
    read_fer_rows,
)
from training.data.reading.fer_split_csv import find_split_csvs, read_split_csvs
from training.data.reading.files import FileReader
from training.data.reading.folders import find_split_folders, refuse_layout
from training.data.reading.images import read_grey_tiles
from training.data.reading.label_lists import FoundImage
from training.data.reading.options import SplitOptions
from training.data.reading.passed_on import find_base, list_labelled_folders
from training.data.reading.split_hygiene import cut_missing, name_cut
from training.errors import TrainingError

NAME, TERMS = "FER2013", "research use, images gathered from the web"
CLASSES = ClassLabels(NAME, FER2013_ORDER)
SPLIT_OF_USAGE: dict[str, Split] = dict(zip(USAGES, SPLITS, strict=True))
LAYOUTS = (
    *ROW_LAYOUTS,
    "train.csv and test.csv (and val.csv) with emotion and pixels",
    "class folders (words, or 0 to 6) in train/ and test/ (and val/)",
)
BOTH_PARTS = 7178
"""Faces of PublicTest and PrivateTest together."""


class Options(SplitOptions):
    """Where the files are, and how validation is cut from folders that have none."""

    path: str = "fer2013"


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:  # noqa: ARG001 - no votes here
    """Read FER2013: the atlases, else a csv of Kaggle, else image folders, else a csv for each split.

    Training is `Training`, validation `PublicTest` and test `PrivateTest`; evaluation splits hold every row.
    Where the files do not name the parts, the names of the splits and a warning describe the splits.

    Raises:
        TrainingError: a file is missing or is not of this format, or what the files mean is not certain.
    """
    chosen = Options.model_validate(options or {})
    root = folder / chosen.path
    if (root / ATLAS_LABELS).exists() or find_kaggle_csv(root) or not root.is_dir():
        return _read_rows(root)
    base = find_base(root, CLASSES)
    if find_split_folders(base):
        return _read_folders(root, base, chosen)
    if find_split_csvs(root):
        return _read_csvs(root, chosen)
    raise refuse_layout(root, NAME, LAYOUTS)


def _read_rows(root: Path) -> DataSet:
    reader = FileReader(root)
    rows = read_fer_rows(root, reader)
    found = LabelledRows(
        tiles=rows.read_tiles(),
        emotions=rows.emotions,
        splits=[SPLITS[usage] for usage in rows.usages.tolist()],
        is_certain=rows.is_certain.tolist(),
    )
    provenance = Provenance(rows.file, NAME, TERMS, reader.sha256(), split_names=SPLIT_NAMES)
    return assemble(found, provenance)


def _read_folders(root: Path, base: Path, chosen: Options) -> DataSet:
    """Read `train/<class>/`, `test/<class>/` and, where it is there, `val/<class>/`.

    In the most common copy, `test/` holds both evaluation splits. In some, a file's name begins
    with its usage; in the others validation is cut from training.
    """
    folders = sorted(find_split_folders(base).items(), key=lambda item: SPLITS.index(item[1]))
    images = [image for path, split in folders for image in list_labelled_folders(path, split, CLASSES)]
    paths = [image.path for image in images]
    emotions = [image.label for image in images if isinstance(image.label, Emotion)]
    has_usage = _names_hold_usage(images)
    splits = [_parse_usage(image.path) or image.split or "train" for image in images]
    missing = [split for split in SPLITS if split not in splits and not (has_usage and split == "test")]
    warnings = () if has_usage else (_describe_splits(root, splits),)
    names = (SPLIT_NAMES if has_usage else _name_given(splits)) | name_cut(missing)
    splits = cut_missing(splits, emotions, missing, chosen.share, chosen.seed)
    reader = FileReader(root)
    tiles = read_grey_tiles(paths, reader, TILE)
    provenance = Provenance(root, NAME, TERMS, reader.sha256(), warnings=warnings, split_names=names)
    return assemble(LabelledRows(tiles, emotions, splits), provenance)


def _read_csvs(root: Path, chosen: Options) -> DataSet:
    reader = FileReader(root)
    rows = read_split_csvs(find_split_csvs(root), reader)
    missing = [split for split in SPLITS if split not in rows.splits]
    names = _name_given(rows.splits) | name_cut(missing)
    splits = cut_missing(rows.splits, rows.emotions, missing, chosen.share, chosen.seed)
    warnings = (_describe_splits(root, rows.splits),)
    provenance = Provenance(root, NAME, TERMS, reader.sha256(), rows.unlabelled, warnings, names)
    return assemble(LabelledRows(rows.stack(), rows.emotions, splits), provenance)


def _parse_usage(path: Path) -> Split | None:
    return SPLIT_OF_USAGE.get(path.name.partition("_")[0])


def _names_hold_usage(images: list[FoundImage]) -> bool:
    """Return whether the names of all evaluation images begin with their usage; raise if only some do."""
    evaluation = [image.path for image in images if image.split != "train"]
    silent = [path for path in evaluation if _parse_usage(path) is None]
    if silent and len(silent) < len(evaluation):
        raise TrainingError(f"{silent[0]}: its name does not begin with its usage, as others in its split do")
    return bool(evaluation) and not silent


def _name_given(splits: list[Split]) -> dict[Split, str]:
    is_both = "validation" not in splits and splits.count("test") == BOTH_PARTS
    return {"test": "PublicTest and PrivateTest together"} if is_both else {}


def _describe_splits(root: Path, splits: list[Split]) -> str:
    """Describe the splits of a copy that does not distinguish PublicTest from PrivateTest."""
    count = splits.count("test")
    match "validation" in splits, count:
        case False, 0:
            what = "validation and test are both cut from train"
        case False, _:
            both = ", which both have together" if count == BOTH_PARTS else ""
            what = f"validation is cut from train, test is all {count} faces of test{both}"
        case True, 0:
            what = "validation is as given, test is cut from train"
        case _:
            what = "validation and test are as given"
    return f"{root}: PublicTest cannot be told from PrivateTest: {what}; figures are not those of PrivateTest"

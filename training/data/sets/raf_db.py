"""RAF-DB, the basic expressions (Li, Deng and Du, CVPR 2017): aligned colour faces of 100 px, seven labels.

Reads `EmoLabel/list_patition_label.txt` (its authors' spelling), and redistributed copies.
"""

from collections.abc import Mapping
from pathlib import Path

from fercore.contracts.emotions import Emotion
from training.data.faces import SPLITS, DataSet, Split
from training.data.reading.assembly import LabelledRows, Provenance, assemble
from training.data.reading.class_labels import ClassLabels, match_number
from training.data.reading.files import FileReader
from training.data.reading.folders import refuse_layout
from training.data.reading.images import read_crops
from training.data.reading.options import SplitOptions
from training.data.reading.passed_on import find_passed_on
from training.data.reading.split_hygiene import cut_missing, name_cut
from training.errors import TrainingError

NAME, TERMS = "RAF-DB (basic)", "non-commercial research, on request to its authors"
LABELS = Path("EmoLabel/list_patition_label.txt")
ALIGNED = Path("Image/aligned")
LAYOUTS = (
    f"{LABELS} and {ALIGNED}/, in basic/ or not",
    "class folders (1 to 7, or words) in train/ and test/, these in DATASET/ or not",
    "the same with train_labels.csv and test_labels.csv, or with labels.csv",
    "images train_*.jpg and test_*.jpg in class folders, or with labels.csv",
)
SIDE_PX = 100
SPLIT_OF_PREFIX: dict[str, Split] = {"train": "train", "test": "test"}
ORDER = (
    Emotion.SURPRISE,
    Emotion.FEAR,
    Emotion.DISGUST,
    Emotion.HAPPINESS,
    Emotion.SADNESS,
    Emotion.ANGER,
    Emotion.NEUTRAL,
)
"""The numbers of RAF-DB's labels, from 1."""

CLASSES = ClassLabels("RAF-DB", ORDER, first=1)


class Options(SplitOptions):
    """Where the files are, and how validation is cut from training."""

    path: str = "raf_db"


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:  # noqa: ARG001 - no votes here
    """Read RAF-DB; its own test rows are `test`, validation is cut from its training rows with a seed.

    Raises:
        TrainingError: a file is missing or is not of this format, or what the files mean is not certain.
    """
    chosen = Options.model_validate(options or {})
    top = folder / chosen.path
    # the archive puts all into basic/
    root = top / "basic" if (top / "basic").is_dir() else top
    reader = FileReader(root)
    is_official = not top.is_dir() or any((root / path).is_dir() for path in (LABELS.parent, ALIGNED))
    read = _read_labels if is_official else _read_passed_on
    paths, emotions, splits = read(root, reader)
    missing = [split for split in SPLITS if split not in splits and split != "test"]
    splits = cut_missing(splits, emotions, missing, chosen.share, chosen.seed)
    tiles, _ = read_crops(paths, reader, side_px=SIDE_PX)
    place = root / LABELS if is_official else root
    provenance = Provenance(place, NAME, TERMS, reader.sha256(), split_names=name_cut(missing))
    return assemble(LabelledRows(tiles, emotions, splits), provenance)


def _read_labels(root: Path, reader: FileReader) -> tuple[list[Path], list[Emotion], list[Split]]:
    path = root / LABELS
    paths: list[Path] = []
    emotions: list[Emotion] = []
    splits: list[Split] = []
    for line, text in enumerate(reader.read_text(path).splitlines(), start=1):
        place = f"{path}, line {line}"
        match text.split():
            case []:
                continue
            # some copies have more columns, which are not about the basic expressions
            case [name, number, *_]:
                paths.append(root / ALIGNED / f"{Path(name).stem}_aligned.jpg")
            case _:
                raise TrainingError(f"{place}: it must be a file name and a number, not {text!r}")
        split = _parse_split(name)
        if split is None:
            raise TrainingError(f"{place}: {name!r} begins neither with train_ nor with test_")
        splits.append(split)
        emotions.append(match_number(number, ORDER, place, first=1))
    if not paths:
        raise TrainingError(f"{path}: it has no rows")
    return paths, emotions, splits


def _read_passed_on(root: Path, reader: FileReader) -> tuple[list[Path], list[Emotion], list[Split]]:
    found = find_passed_on(root, CLASSES, reader)
    if found is None:
        raise refuse_layout(root, "RAF-DB", LAYOUTS)
    if found.unlisted:
        raise TrainingError(f"{root}: no list of labels names {found.unlisted} of its images")
    paths: list[Path] = []
    emotions: list[Emotion] = []
    splits: list[Split] = []
    for image in found.images:
        named = _parse_split(image.path.name)
        split = image.split or named
        if split is None:
            raise TrainingError(
                f"{image.path}: neither its folder nor its name says whether it is train or test"
            )
        if named and (named == "test") != (split == "test"):
            raise TrainingError(f"{image.path}: its name says {named}, its folder or list says {split}")
        if isinstance(image.label, Emotion):
            paths.append(image.path)
            emotions.append(image.label)
            splits.append(split)
    return paths, emotions, splits


def _parse_split(name: str) -> Split | None:
    return SPLIT_OF_PREFIX.get(name.partition("_")[0])

"""AffectNet, manually annotated (Mollahosseini, Hasani and Mahoor, 2017), with 7 or 8 labels.

Reads cropped faces with `.npy` annotations, whole images with csv files, and redistributed copies.
"""

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from fercore.contracts.emotions import Emotion
from fercore.vision.crop import FaceCrop, Framing, RgbImage, canonical_square, crop_face, crop_whole
from training.data.faces import SPLITS, DataSet, Split
from training.data.reading.assembly import LabelledRows, Provenance, assemble
from training.data.reading.class_labels import ClassLabels, Label, match_number
from training.data.reading.files import FileReader, list_folder
from training.data.reading.folders import refuse_layout
from training.data.reading.images import Crop, is_image, read_crops
from training.data.reading.options import SplitOptions
from training.data.reading.passed_on import LabelSource, find_passed_on
from training.data.reading.split_hygiene import cut_missing, name_cut
from training.errors import TrainingError

NPY_FOLDERS: dict[str, Split] = {"train_set": "train", "val_set": "test"}
CSV_FILES: dict[str, Split] = {"training.csv": "train", "validation.csv": "test"}
CSV_FOLDERS = (".", "Manually_annotated_file_lists", "Manually_Annotated_file_lists")
BOX_COLUMNS = ("face_x", "face_y", "face_width", "face_height")
CSV_COLUMNS = ("subDirectory_filePath", *BOX_COLUMNS, "expression")
LAYOUTS = (
    "train_set/ and val_set/ with images/ and annotations/",
    "training.csv and validation.csv with Manually_Annotated_Images/",
    "class folders (0 to 7, or words), in train/, val/ and test/ or not",
    "labels.csv with a column for the path and one for the label, with class folders or without",
)
ORDER = (
    Emotion.NEUTRAL,
    Emotion.HAPPINESS,
    Emotion.SADNESS,
    Emotion.SURPRISE,
    Emotion.FEAR,
    Emotion.DISGUST,
    Emotion.ANGER,
    Emotion.CONTEMPT,
)
NONE, UNCERTAIN, NO_FACE = "rows labelled none", "rows labelled uncertain", "rows labelled no face"
NOT_EMOTIONS = {"8": NONE, "9": UNCERTAIN, "10": NO_FACE}
WORDS = {"none": NONE, "uncertain": UNCERTAIN, "no face": NO_FACE, "no-face": NO_FACE, "noface": NO_FACE}
CLASSES = ClassLabels("AffectNet", ORDER, others=NOT_EMOTIONS | WORDS)
CONTEMPT = "rows of contempt, which 7 classes do not have"
UNLISTED = "pictures that no list of labels names"
WARNING = (
    "whether the splits of this copy are the published ones is not known; published figures are on those"
)
ADVICE = "; data.options.labels says which is right, lists or folders"


class Options(SplitOptions):
    """Where the files are, how many classes are wanted, and how csv boxes are framed."""

    path: str = "affectnet"
    classes: Annotated[Literal[7, 8], Field(description="7 leaves contempt out")] = 8
    images: Annotated[str, Field(description="Folder of the csv layout's images")] = (
        "Manually_Annotated_Images"
    )
    box_scale: Annotated[
        float, Field(gt=0, le=3, description="Side of the crop in longer sides of a csv box; not measured")
    ] = 1.0
    labels: Annotated[
        LabelSource | None, Field(description="Believed where labels.csv and class folders do not agree")
    ] = None


@dataclass(frozen=True, slots=True)
class _Found:
    paths: list[Path] = field(default_factory=list)
    crops: list[Crop] = field(default_factory=list)
    emotions: list[Emotion] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def choose(self, label: Label, classes: int) -> Emotion | None:
        """Return the emotion, or count why the row is left out."""
        if isinstance(label, Emotion) and not (classes == 7 and label == Emotion.CONTEMPT):
            return label
        self.dropped[CONTEMPT if isinstance(label, Emotion) else label] += 1
        return None

    def add(self, path: Path, crop: Crop, emotion: Emotion, split: Split) -> None:
        self.paths.append(path)
        self.crops.append(crop)
        self.emotions.append(emotion)
        self.splits.append(split)


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:  # noqa: ARG001 - no votes here
    """Read AffectNet, with the splits that it lacks cut from its training rows with a seed.

    Its published validation rows are `test`, as in the literature: its test rows were never published. So are
    those of a copy that has `val/` and no `test/`.

    Raises:
        TrainingError: a file is missing or is not of this format, or what the files mean is not certain.
    """
    chosen = Options.model_validate(options or {})
    root = folder / chosen.path
    reader = FileReader(root)
    is_csv = (root / chosen.images).is_dir() or any(
        (root / place / name).exists() for place in CSV_FOLDERS for name in CSV_FILES
    )
    warnings: tuple[str, ...] = ()
    names: dict[Split, str] = {"test": "published validation"}
    if any((root / name).is_dir() for name in NPY_FOLDERS):
        found = _find_npy(root, reader, chosen)
    elif is_csv:
        found = _find_csv(root, reader, chosen)
    else:
        found, names = _find_passed_on(root, reader, chosen)
        warnings = (f"{root}: {WARNING}",)
    missing = [split for split in SPLITS[1:] if split not in names]
    splits = cut_missing(found.splits, found.emotions, missing, chosen.share, chosen.seed)
    tiles, _ = read_crops(found.paths, reader, found.crops)
    provenance = Provenance(
        root,
        f"AffectNet ({chosen.classes} classes)",
        "non-commercial research, by agreement with its authors",
        reader.sha256(),
        found.dropped,
        warnings,
        split_names=names | name_cut(missing),
    )
    return assemble(LabelledRows(tiles, found.emotions, splits), provenance)


def _find_npy(root: Path, reader: FileReader, chosen: Options) -> _Found:
    found = _Found()
    for name, split in NPY_FOLDERS.items():
        for path in filter(is_image, list_folder(root / name / "images")):
            annotation = root / name / "annotations" / f"{path.stem}_exp.npy"
            label = _match_original(_read_npy(annotation, reader), annotation)
            if emotion := found.choose(label, chosen.classes):
                found.add(path, crop_whole, emotion, split)
    return found


def _match_original(text: str, place: object) -> Label:
    return NOT_EMOTIONS.get(text.strip()) or match_number(text, ORDER, place)


def _read_npy(path: Path, reader: FileReader) -> str:
    data = reader.read(path)
    try:
        # one value, a string in the original files
        return str(np.load(io.BytesIO(data), allow_pickle=False).item())
    except (ValueError, EOFError) as err:
        raise TrainingError(f"{path}: it is not a .npy file of one label") from err


def _find_csv(root: Path, reader: FileReader, chosen: Options) -> _Found:
    found = _Found()
    for name, split in CSV_FILES.items():
        places = [root / folder / name for folder in CSV_FOLDERS]
        path = next((place for place in places if place.exists()), root / name)
        for line, row in reader.read_csv(path, CSV_COLUMNS):
            place = f"{path}, line {line}"
            if emotion := found.choose(_match_original(row["expression"], place), chosen.classes):
                crop = _make_box_crop(row, place, chosen.box_scale)
                found.add(root / chosen.images / row["subDirectory_filePath"], crop, emotion, split)
    return found


def _find_passed_on(root: Path, reader: FileReader, chosen: Options) -> tuple[_Found, dict[Split, str]]:
    passed_on = find_passed_on(root, CLASSES, reader, chosen.labels, ADVICE)
    if passed_on is None:
        raise refuse_layout(root, "AffectNet", LAYOUTS)
    found = _Found()
    if passed_on.unlisted:
        found.dropped[UNLISTED] = passed_on.unlisted
    given = {image.split for image in passed_on.images}
    val_is_test = "validation" in given and "test" not in given
    for image in passed_on.images:
        split: Split = "test" if val_is_test and image.split == "validation" else image.split or "train"
        if image.label and (emotion := found.choose(image.label, chosen.classes)):
            found.add(image.path, crop_whole, emotion, split)
    if val_is_test:
        return found, {"test": "val of the copy"}
    names: dict[Split, str] = {"validation": "val of the copy", "test": "test of the copy"}
    return found, {split: name for split, name in names.items() if split in given}


def _make_box_crop(row: Mapping[str, str], place: str, scale: float) -> Crop:
    """Return a function that crops an image by the box of its row, in source pixels.

    Args:
        row: has `BOX_COLUMNS`.
        place: names the row.
        scale: side of the crop in longer sides of the box.

    Raises:
        TrainingError: the box is not of numbers or has no area.
    """
    try:
        x, y, width, height = (float(row[name]) for name in BOX_COLUMNS)
    except ValueError as err:
        raise TrainingError(f"{place}: {', '.join(BOX_COLUMNS)} must be numbers ({err})") from err
    if not (width > 0 and height > 0 and np.isfinite([x, y, width, height]).all()):
        raise TrainingError(f"{place}: the face box {width:g}x{height:g} has no area")
    box = np.array([x, y, x + width, y + height], np.float32)
    return partial(_crop_box, box=box, scale=scale)


def _crop_box(
    image: RgbImage, *, box: np.ndarray[tuple[int], np.dtype[np.float32]], scale: float
) -> FaceCrop:
    return crop_face(image, canonical_square(box, Framing(scale, 0.0, 0.0)))

"""AffectNet, manually annotated (Mollahosseini, Hasani and Mahoor, 2017), with 7 or 8 labels.

Knows the layout of cropped faces with `.npy` annotations and that of whole pictures with csv files.
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
from training.errors import TrainingError
from training.faces import DataSet, Split
from training.reading.assembly import LabelledRows, Provenance, assemble
from training.reading.class_names import match_number
from training.reading.intake import Intake, list_folder
from training.reading.options import SplitOptions
from training.reading.pictures import Crop, is_picture, read_crops
from training.reading.split_hygiene import cut_missing, name_cut

NPY_FOLDERS: dict[str, Split] = {"train_set": "train", "val_set": "test"}
CSV_FILES: dict[str, Split] = {"training.csv": "train", "validation.csv": "test"}
CSV_FOLDERS = (".", "Manually_annotated_file_lists", "Manually_Annotated_file_lists")
BOX_COLUMNS = ("face_x", "face_y", "face_width", "face_height")
CSV_COLUMNS = ("subDirectory_filePath", *BOX_COLUMNS, "expression")
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
NOT_EMOTIONS = {"8": "rows labelled none", "9": "rows labelled uncertain", "10": "rows labelled no face"}
CONTEMPT = "rows of contempt, which 7 classes do not have"


class Options(SplitOptions):
    """Where the files are, how many classes are wanted, and how csv boxes are framed."""

    path: str = "affectnet"
    classes: Annotated[Literal[7, 8], Field(description="7 leaves contempt out")] = 8
    images: Annotated[str, Field(description="Folder of the csv layout's pictures")] = (
        "Manually_Annotated_Images"
    )
    box_scale: Annotated[
        float, Field(gt=0, le=3, description="Side of the crop in longer sides of a csv box; not measured")
    ] = 1.0


@dataclass(frozen=True, slots=True)
class _Found:
    paths: list[Path] = field(default_factory=list)
    crops: list[Crop] = field(default_factory=list)
    emotions: list[Emotion] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def keeps(self, text: str, classes: int) -> bool:
        """Count a row whose number is a known one but no wanted emotion, and say so."""
        number = text.strip()
        reason = NOT_EMOTIONS.get(number)
        if classes == 7 and number == str(ORDER.index(Emotion.CONTEMPT)):
            reason = CONTEMPT
        if reason:
            self.dropped[reason] += 1
        return reason is None

    def add(self, path: Path, crop: Crop, emotion: Emotion, split: Split) -> None:
        self.paths.append(path)
        self.crops.append(crop)
        self.emotions.append(emotion)
        self.splits.append(split)


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:  # noqa: ARG001 - no votes here
    """Read AffectNet, with validation cut from its training rows with a seed.

    Its published validation rows are `test`, as in the literature: its test rows were never published.

    Raises:
        TrainingError: a file is missing or is not of this format.
    """
    chosen = Options.model_validate(options or {})
    root = folder / chosen.path
    intake = Intake(root)
    has_npy = any((root / name).is_dir() for name in NPY_FOLDERS)
    found = _find_npy(root, intake, chosen) if has_npy else _find_csv(root, intake, chosen)
    splits = cut_missing(found.splits, found.emotions, ["validation"], chosen.share, chosen.seed)
    tiles, _ = read_crops(found.paths, intake, found.crops)
    provenance = Provenance(
        root,
        f"AffectNet ({chosen.classes} classes)",
        "non-commercial research, by agreement with its authors",
        intake.sha256(),
        found.dropped,
        split_names=name_cut(["validation"]) | {"test": "published validation"},
    )
    return assemble(LabelledRows(tiles, found.emotions, splits), provenance)


def _find_npy(root: Path, intake: Intake, chosen: Options) -> _Found:
    found = _Found()
    for name, split in NPY_FOLDERS.items():
        for path in filter(is_picture, list_folder(root / name / "images")):
            annotation = root / name / "annotations" / f"{path.stem}_exp.npy"
            number = _read_npy(annotation, intake)
            if found.keeps(number, chosen.classes):
                found.add(path, crop_whole, match_number(number, ORDER, annotation), split)
    return found


def _read_npy(path: Path, intake: Intake) -> str:
    data = intake.read(path)
    try:
        # one value, a string in the original files
        return str(np.load(io.BytesIO(data), allow_pickle=False).item())
    except (ValueError, EOFError) as err:
        raise TrainingError(f"{path}: it is not a .npy file of one label") from err


def _find_csv(root: Path, intake: Intake, chosen: Options) -> _Found:
    found = _Found()
    for name, split in CSV_FILES.items():
        places = [root / folder / name for folder in CSV_FOLDERS]
        path = next((place for place in places if place.exists()), root / name)
        for line, row in intake.read_csv(path, CSV_COLUMNS):
            if found.keeps(row["expression"], chosen.classes):
                place = f"{path}, line {line}"
                emotion = match_number(row["expression"], ORDER, place)
                crop = _crop_of_box(row, place, chosen.box_scale)
                found.add(root / chosen.images / row["subDirectory_filePath"], crop, emotion, split)
    return found


def _crop_of_box(row: Mapping[str, str], place: str, scale: float) -> Crop:
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

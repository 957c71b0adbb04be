"""CK+, the extended Cohn-Kanade sequences (Lucey et al., CVPR-W 2010), split by person.

Reads the folders `cohn-kanade-images/` and `Emotion/`, or the 48 px csv, which does not name persons.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fercore.contracts.emotions import Emotion
from training.data.detectors import make_detector
from training.data.faces import SPLITS, DataSet
from training.data.reading.assembly import LabelledRows, Provenance, assemble
from training.data.reading.class_labels import match_number
from training.data.reading.fer_rows import FER2013_ORDER, SPLIT_NAMES, read_pixel_csv
from training.data.reading.files import FileReader, list_folder
from training.data.reading.folders import refuse_layout
from training.data.reading.images import is_image, make_face_crop, read_crops
from training.data.reading.options import SplitOptions
from training.data.reading.split_hygiene import cut_by_person
from training.errors import TrainingError

IMAGES, LABELS, CSV = "cohn-kanade-images", "Emotion", "ckextended.csv"
LAYOUTS = (f"{IMAGES}/ and {LABELS}/", f"{CSV} with emotion, pixels and Usage")
NAME, TERMS = "CK+", "non-commercial research, by agreement with its authors"
ORDER = (
    Emotion.NEUTRAL,
    Emotion.ANGER,
    Emotion.CONTEMPT,
    Emotion.DISGUST,
    Emotion.FEAR,
    Emotion.HAPPINESS,
    Emotion.SADNESS,
    Emotion.SURPRISE,
)
"""The numbers in `*_emotion.txt`."""

CSV_ORDER = (*FER2013_ORDER, Emotion.CONTEMPT)
UNLABELLED = "sequences without a label"
FACELESS = "frames in which the detector found no face"


class Options(SplitOptions):
    """Where the files are, which frames of a sequence are taken and how faces are framed."""

    path: str = "ck_plus"
    share: Annotated[
        float, Field(gt=0, lt=0.5, description="Of all persons, for validation and for test")
    ] = 0.15
    first_frames: Annotated[int, Field(ge=0, description="Taken as neutral")] = 1
    last_frames: Annotated[int, Field(ge=1, description="Taken as the labelled expression")] = 3
    detector: Annotated[
        str | None,
        Field(description="A file in services/detector/detectors/ that frames faces as serving does"),
    ] = None
    repository: Annotated[str, Field(description="Where the detector finds its weights")] = "model_repository"


@dataclass(frozen=True, slots=True)
class _Frames:
    paths: list[Path] = field(default_factory=list)
    emotions: list[Emotion] = field(default_factory=list)
    persons: list[str] = field(default_factory=list)

    def add(self, paths: list[Path], emotion: Emotion, person: str) -> None:
        self.paths.extend(paths)
        self.emotions.extend([emotion] * len(paths))
        self.persons.extend([person] * len(paths))


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:  # noqa: ARG001 - no votes here
    """Read CK+: the folders, else the csv.

    With the folders, no person is in two splits; the same seed gives the same split.

    Raises:
        TrainingError: a file is missing or is not of this format.
    """
    chosen = Options.model_validate(options or {})
    root = folder / chosen.path
    if not (root / IMAGES).is_dir() and (root / CSV).exists():
        return _read_csv(root)
    if root.is_dir() and not (root / IMAGES).is_dir():
        raise refuse_layout(root, NAME, LAYOUTS)
    return _read_folders(root, chosen)


def _read_csv(root: Path) -> DataSet:
    reader = FileReader(root)
    rows = read_pixel_csv(root / CSV, reader, CSV_ORDER)
    found = LabelledRows(rows.read_tiles(), rows.emotions, [SPLITS[usage] for usage in rows.usages.tolist()])
    warning = (
        f"{rows.file} does not say who is shown: its splits share persons, so figures on it are too good; "
        f"use the folders {IMAGES}/ and {LABELS}/ for a split by person"
    )
    provenance = Provenance(
        rows.file, NAME, TERMS, reader.sha256(), warnings=(warning,), split_names=SPLIT_NAMES
    )
    return assemble(found, provenance)


def _read_folders(root: Path, chosen: Options) -> DataSet:
    reader = FileReader(root)
    frames, dropped = _Frames(), Counter[str]()
    for person in (path for path in list_folder(root / IMAGES) if path.is_dir()):
        for sequence in (path for path in list_folder(person) if path.is_dir()):
            emotion = _read_label(root / LABELS / person.name / sequence.name, reader)
            if emotion is None:
                dropped[UNLABELLED] += 1
                continue
            images = [path for path in list_folder(sequence) if is_image(path)]
            if len(images) < chosen.first_frames + chosen.last_frames:
                raise TrainingError(f"{sequence}: {len(images)} frames are too few")
            frames.add(images[: chosen.first_frames], Emotion.NEUTRAL, person.name)
            frames.add(images[-chosen.last_frames :], emotion, person.name)
    if not frames.paths:
        raise TrainingError(f"{root}: no sequence of {IMAGES}/ has a label in {LABELS}/")
    splits = cut_by_person(frames.persons, chosen.share, chosen.seed)
    crops = None
    warnings: tuple[str, ...] = ()
    if chosen.detector:
        detector = make_detector(chosen.detector, Path(chosen.repository))
        crops = [make_face_crop(detector)] * len(frames.paths)
    else:
        warnings = (f"{root / IMAGES}: frames are taken whole; data.options.detector would frame the faces",)
    tiles, is_found = read_crops(frames.paths, reader, crops)
    dropped[FACELESS] = int((~is_found).sum())
    rows = [index for index, found in enumerate(is_found) if found]
    found = LabelledRows(
        tiles[is_found],
        [frames.emotions[row] for row in rows],
        [splits[row] for row in rows],
        persons=[frames.persons[row] for row in rows],
    )
    return assemble(found, Provenance(root, NAME, TERMS, reader.sha256(), dropped, warnings))


def _read_label(folder: Path, reader: FileReader) -> Emotion | None:
    """Return the label of a sequence; only 327 of the 593 have one."""
    files = [path for path in list_folder(folder) if path.suffix == ".txt"] if folder.is_dir() else []
    if not files:
        return None
    text = reader.read_text(files[0]).strip()
    # written as a float: "3.0000000e+00"
    try:
        number = f"{float(text):g}"
    except ValueError:
        number = text
    return match_number(number, ORDER, files[0])

"""Any set of images in one folder for each class, with or without splits.

Class folders are in `train/`, `val/`, `test/` (or their long forms), or in the folder itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from fercore.contracts.emotions import Emotion
from training.data.faces import SPLITS, DataSet, Split
from training.data.reading.assembly import LabelledRows, Provenance, assemble
from training.data.reading.files import FileReader
from training.data.reading.folders import find_split_folders, list_class_folders
from training.data.reading.images import read_crops
from training.data.reading.options import SplitOptions
from training.data.reading.split_hygiene import cut_missing, name_cut


class Options(SplitOptions):
    """Where the images are, their terms of use, and what further class names mean."""

    terms: Annotated[str, Field(min_length=1, description="Goes into the model card")]
    classes: Annotated[
        dict[str, Emotion],
        Field(description="Folder names beyond the usual ones, such as '0': anger", default_factory=dict),
    ]


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:  # noqa: ARG001 - no votes here
    """Read images of faces framed like a FER2013 tile, of any size, grey or colour.

    A split that has no folder is cut from training with a seed, an equal share of each class.

    Raises:
        TrainingError: a class name is not known, a class is empty, or an image does not decode.
    """
    chosen = Options.model_validate(options or {})
    root = folder / chosen.path
    split_folders = find_split_folders(root) or {root: SPLITS[0]}
    given = list(split_folders.values())
    paths: list[Path] = []
    emotions: list[Emotion] = []
    splits: list[Split] = []
    for split_folder, split in split_folders.items():
        for path, emotion in list_class_folders(split_folder, chosen.classes):
            paths.append(path)
            emotions.append(emotion)
            splits.append(split)
    missing = [split for split in SPLITS if split not in given]
    splits = cut_missing(splits, emotions, missing, chosen.share, chosen.seed)
    reader = FileReader(root)
    tiles, _ = read_crops(paths, reader)
    warnings = (
        (f"{root}: {' and '.join(missing)} cut from training by row: one person may be in several splits",)
        if missing
        else ()
    )
    provenance = Provenance(
        root, root.name, chosen.terms, reader.sha256(), warnings=warnings, split_names=name_cut(missing)
    )
    return assemble(LabelledRows(tiles, emotions, splits), provenance)

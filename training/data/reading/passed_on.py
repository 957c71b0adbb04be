"""Find images of redistributed copies: class folders in split folders, lists of labels, or both.

The caller says what labels mean, and handles layouts of other kinds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.data.faces import Split
from training.data.reading.class_labels import ClassLabels
from training.data.reading.files import FileReader, list_folder
from training.data.reading.folders import SPLIT_OF_NAME, find_split_folders, list_subfolders
from training.data.reading.images import is_image
from training.data.reading.label_lists import LIST_NAME, FoundImage, find_lists, label_by_lists
from training.errors import TrainingError

LabelSource = Literal["lists", "folders"]


@dataclass(frozen=True, slots=True)
class PassedOn:
    """What a folder holds.

    Attributes:
        images: with their labels, sorted by folder and name.
        unlisted: how many images no list names, and which are therefore left out.
    """

    images: list[FoundImage]
    unlisted: int = 0


def find_passed_on(
    top: Path, labels: ClassLabels, reader: FileReader, source: LabelSource | None = None, advice: str = ""
) -> PassedOn | None:
    """Find the images of a folder, or of the one folder in it that holds splits or classes.

    Args:
        top: the folder.
        labels: what the names of class folders and the labels of lists mean.
        reader: reads the lists.
        source: which wins where there are lists and class folders; None: they must agree.
        advice: ends the message where they do not.

    Returns:
        None where the folder has neither class folders nor a list.

    Raises:
        TrainingError: a label is not certain, a list and the images do not agree, or a class is empty.
    """
    base = find_base(top, labels)
    splits = find_split_folders(base)
    loose = [path for path in list_subfolders(base) if splits and labels.knows(path.name)]
    if loose:
        raise TrainingError(f"{loose[0]}: which split this class belongs to is not certain")
    lists = {} if source == "folders" else find_lists((base, top), set(splits.values()))
    images: list[FoundImage] = []
    for folder, split in splits.items() or ((base, None),):
        if any(labels.knows(path.name) for path in list_subfolders(folder)):
            images += list_labelled_folders(folder, split, labels)
        elif lists:
            images += _list_all(folder, split)
        else:
            return None
    if not lists:
        if source == "lists":
            raise TrainingError(f"{top}: there is no list of labels ({LIST_NAME})")
        return PassedOn(images)
    listed = label_by_lists(lists, images, base, labels, reader)
    if source is None:
        _check_agreement(images, listed, advice)
    labelled = [listed[image.path][0] for image in images if image.path in listed]
    return PassedOn(labelled, len(images) - len(labelled))


def list_labelled_folders(folder: Path, split: Split | None, labels: ClassLabels) -> list[FoundImage]:
    """Return each image with the label that its folder's name means, a number or a word, sorted by name.

    Raises:
        TrainingError: what a name means is not certain, or a class is empty.
    """
    classes = list_subfolders(folder)
    labels.check([path.name for path in classes], folder)
    images: list[FoundImage] = []
    for path in classes:
        label = labels.match(path.name, folder)
        own = [FoundImage(image, split, label) for image in list_folder(path) if is_image(image)]
        if not own:
            raise TrainingError(f"{path}: the class is empty")
        images += own
    return images


def find_base(top: Path, labels: ClassLabels) -> Path:
    """Return the one folder in `top` that holds splits or classes, where `top` itself holds none."""

    def holds_layout(folder: Path) -> bool:
        names = [path.name for path in list_subfolders(folder)]
        return any(name.casefold() in SPLIT_OF_NAME or labels.knows(name) for name in names)

    inner = [] if holds_layout(top) else [path for path in list_subfolders(top) if holds_layout(path)]
    return inner[0] if len(inner) == 1 else top


def _list_all(folder: Path, split: Split | None) -> list[FoundImage]:
    paths = (path for path in sorted(folder.rglob("*")) if is_image(path))
    return [
        FoundImage(path, split, None)
        for path in paths
        if not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    ]


def _check_agreement(
    images: list[FoundImage], listed: dict[Path, tuple[FoundImage, str]], advice: str
) -> None:
    in_folders = [image for image in images if image.label is not None]
    missing = [image.path for image in in_folders if image.path not in listed]
    if missing:
        raise TrainingError(
            f"{missing[0]}: no list of labels names it ({len(missing)} such pictures){advice}"
        )
    unlike = [image for image in in_folders if listed[image.path][0].label != image.label]
    if unlike:
        found, row = listed[unlike[0].path]
        raise TrainingError(
            f"{row}: the label is {found.label}, but the folder of {unlike[0].path} means {unlike[0].label} "
            f"({len(unlike)} such pictures){advice}"
        )

"""What the folders of a data set mean: splits, classes, or no layout that is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fercore.contracts.emotions import Emotion
from training.data.faces import Split
from training.data.reading.class_labels import match_class
from training.data.reading.files import list_folder
from training.data.reading.images import is_image
from training.errors import TrainingError

SPLIT_OF_NAME: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}

SHOWN = 6
"""Names of a folder in the message, at most."""


def list_subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without what macOS adds to archives."""
    return [path for path in list_folder(folder) if path.is_dir() and path.name != "__MACOSX"]


def find_split_folders(root: Path) -> dict[Path, Split]:
    """Find folders named after splits, in any case; none where there are no splits.

    Raises:
        TrainingError: there are splits, but no training or two folders for one split.
    """
    folders = {
        path: SPLIT_OF_NAME[path.name.casefold()]
        for path in list_subfolders(root)
        if path.name.casefold() in SPLIT_OF_NAME
    }
    given = list(folders.values())
    if folders and ("train" not in given or len(set(given)) < len(given)):
        raise TrainingError(f"{root}: there must be one folder train, and at most one each of val and test")
    return folders


def list_class_folders(
    folder: Path, own_names: Mapping[str, Emotion] | None = None
) -> list[tuple[Path, Emotion]]:
    """Return each image with the emotion that its folder's name means, sorted by name.

    Raises:
        TrainingError: a name is not known, a class is empty, or there are no classes.
    """
    found: list[tuple[Path, Emotion]] = []
    for class_folder in (path for path in list_folder(folder) if path.is_dir()):
        emotion = match_class(class_folder.name, folder, own_names)
        images = [path for path in list_folder(class_folder) if is_image(path)]
        if not images:
            raise TrainingError(f"{class_folder}: the class is empty")
        found += [(path, emotion) for path in images]
    if not found:
        raise TrainingError(f"{folder}: it has no folder for any class")
    return found


def refuse_layout(root: Path, data_set: str, layouts: Sequence[str]) -> TrainingError:
    """Return the error for a folder whose layout is not known.

    Args:
        root: the folder.
        data_set: what it should hold.
        layouts: those that are known, one phrase each.

    Raises:
        TrainingError: there is no such folder.
    """
    names = [path.name + "/" * path.is_dir() for path in list_folder(root)]
    # a name with a line break would make two lines
    shown = [name if name.isprintable() else ascii(name) for name in names[:SHOWN]]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    found = ", ".join(shown) + more if names else "nothing"
    return TrainingError(
        f"{root}: no known layout of {data_set}; known are: {'; '.join(layouts)}; found: {found}"
    )

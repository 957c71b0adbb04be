"""What people call the folders and files of a split: `train`, `val`, `test` and their long forms.

Knows no classes and opens no file.
"""

from pathlib import Path

from training.data.faces import Split
from training.data.reading.files import list_folder
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


def list_subfolders(folder: Path) -> list[Path]:
    """Give the folders in a folder, sorted by name, without what macOS adds to archives."""
    return [path for path in list_folder(folder) if path.is_dir() and path.name != "__MACOSX"]


def find_split_folders(root: Path) -> dict[Path, Split]:
    """Give the folders that are named as splits are, in any case; none where there are no splits.

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

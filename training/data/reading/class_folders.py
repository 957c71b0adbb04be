"""Find the pictures of a folder that has one sub-folder for each class.

Knows no splits and opens no picture.
"""

from collections.abc import Mapping
from pathlib import Path

from fercore.contracts.emotions import Emotion
from training.data.reading.class_names import match_class
from training.data.reading.files import list_folder
from training.data.reading.images import is_picture
from training.errors import TrainingError


def list_class_folders(
    folder: Path, own_names: Mapping[str, Emotion] | None = None
) -> list[tuple[Path, Emotion]]:
    """Give each picture with the emotion that its folder's name means, sorted by name.

    Raises:
        TrainingError: a name is not known, a class is empty, or there are no classes.
    """
    found: list[tuple[Path, Emotion]] = []
    for class_folder in (path for path in list_folder(folder) if path.is_dir()):
        emotion = match_class(class_folder.name, folder, own_names)
        pictures = [path for path in list_folder(class_folder) if is_picture(path)]
        if not pictures:
            raise TrainingError(f"{class_folder}: the class is empty")
        found += [(path, emotion) for path in pictures]
    if not found:
        raise TrainingError(f"{folder}: it has no folder for any class")
    return found

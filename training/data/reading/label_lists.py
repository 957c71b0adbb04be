"""Label images by csv files that name an image and its label in each row.

Files and columns are found by their common names.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from training.data.faces import Split
from training.data.reading.class_labels import ClassLabels, Label
from training.data.reading.files import FileReader, list_folder
from training.data.reading.folders import SPLIT_OF_NAME
from training.errors import TrainingError

LIST_NAME = "labels.csv"
IMAGE_COLUMNS = (
    "pth", "path", "image", "image_path", "image_name", "img", "img_path", "file", "file_path", "filepath",
    "filename", "file_name",
)  # fmt: skip
LABEL_COLUMNS = ("label", "labels", "expression", "emotion", "class")


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image with what its path says of it.

    Attributes:
        path: the file.
        split: None where it is not known.
        label: None where it is not known.
    """

    path: Path
    split: Split | None
    label: Label | None


class ImageIndex:
    """Images by every ending of their paths: `train/1/a.jpg`, `1/a.jpg` and `a.jpg`, in any case."""

    def __init__(self, paths: Sequence[Path], base: Path) -> None:
        """Index images below `base`."""
        self._base = base
        self._whole: dict[str, int] = {}
        self._endings: defaultdict[str, list[int]] = defaultdict(list)
        for number, path in enumerate(paths):
            parts = path.relative_to(base).parts
            self._whole["/".join(parts)] = number
            for start in range(len(parts)):
                self._endings["/".join(parts[start:]).casefold()].append(number)

    def find(self, written: str, place: str) -> int:
        """Return the index, in the paths, of the image that a list calls `written`.

        Raises:
            TrainingError: no image, or more than one, has this path; `place` names the row.
        """
        # a list made on Windows parts folders by backslashes
        name = PurePosixPath(written.strip().replace("\\", "/")).as_posix()
        if name in self._whole:
            return self._whole[name]
        found = self._endings.get(name.casefold(), [])
        if len(found) != 1:
            count = f"{len(found)} pictures are" if found else "no picture is"
            raise TrainingError(f"{place}: {count} called {written!r} in {self._base}")
        return found[0]


def find_lists(places: Sequence[Path], given: set[Split]) -> dict[Split | None, Path]:
    """Find `labels.csv`, or `train_labels.csv` and so on by split.

    Args:
        places: the folders that may hold them.
        given: the splits that have a folder; empty where there are no splits.

    Raises:
        TrainingError: there are several for the same rows, or a split has images or a list, not both.
    """
    found: dict[Split | None, Path] = {}
    for path in (path for place in dict.fromkeys(places) for path in list_folder(place) if path.is_file()):
        name = path.name.casefold()
        prefix = name.removesuffix(f"_{LIST_NAME}")
        if name != LIST_NAME and (prefix == name or prefix not in SPLIT_OF_NAME):
            continue
        split = None if name == LIST_NAME else SPLIT_OF_NAME[prefix]
        if split in found or (found and None in (split, *found)):
            raise TrainingError(f"{path}: it and {next(iter(found.values()))} both label the pictures")
        found[split] = path
    listed = {split for split in found if split is not None}
    wanted = given or listed | {"train"}
    if listed and listed != wanted:
        raise TrainingError(
            f"{places[0]}: {', '.join(sorted(path.name for path in found.values()))} must be lists for "
            f"{', '.join(sorted(wanted))}, one each, or there must be none"
        )
    return found


def label_by_lists(
    lists: Mapping[Split | None, Path],
    images: Sequence[FoundImage],
    base: Path,
    labels: ClassLabels,
    reader: FileReader,
) -> dict[Path, tuple[FoundImage, str]]:
    """Label each listed image; return it with the row that labels it, by path.

    Args:
        lists: by split; that of None is for all images.
        images: those that may be listed.
        base: the folder that holds them all.
        labels: what the labels mean.
        reader: reads the lists.

    Raises:
        TrainingError: a list is not of this form, a row has no image, or two rows do not agree.
    """
    listed: dict[Path, tuple[FoundImage, str]] = {}
    for split, path in lists.items():
        rows = read_list(path, reader)
        labels.check({label for _, _, label in rows}, path)
        own = [image for image in images if None in (split, image.split) or image.split == split]
        index = ImageIndex([image.path for image in own], base)
        for line, written, label in rows:
            place = f"{path}, line {line}"
            image = own[index.find(written, place)]
            found = replace(image, split=split or image.split, label=labels.match(label, place))
            first, row = listed.setdefault(image.path, (found, place))
            if first != found:
                raise TrainingError(f"{place}: {written!r} has another label or split in {row}")
    return listed


def read_list(path: Path, reader: FileReader) -> list[tuple[int, str, str]]:
    """Return the line, the image's path and the label of each row, as they are written.

    Raises:
        TrainingError: the file cannot be read, or has not one column each for images and labels.
    """
    rows = reader.read_csv(path, ())
    columns = list(rows[0][1])
    image = _find_column(columns, IMAGE_COLUMNS, "images", path)
    label = _find_column(columns, LABEL_COLUMNS, "labels", path)
    return [(line, row[image], row[label]) for line, row in rows]


def _find_column(columns: list[str], known: tuple[str, ...], what: str, path: Path) -> str:
    found = [name for name in columns if name.casefold() in known]
    if len(found) != 1:
        raise TrainingError(
            f"{path}: there must be one column of {what} ({', '.join(known)}), not {len(found)}; "
            f"its columns are {', '.join(map(repr, columns))}"
        )
    return found[0]

"""Pictures that were found in folders, and which of them a list means by a path.

Opens no picture and knows no list's form.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.data.faces import Split
from training.data.reading.class_labels import Label
from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture with what its place says of it.

    Attributes:
        path: the file.
        split: None where it is not said.
        label: None where it is not said.
    """

    path: Path
    split: Split | None
    label: Label | None


class PictureIndex:
    """Pictures by every ending of their paths: `train/1/a.jpg`, `1/a.jpg` and `a.jpg`, in any case."""

    def __init__(self, paths: Sequence[Path], base: Path) -> None:
        """Take pictures below `base`."""
        self._base = base
        self._whole: dict[str, int] = {}
        self._endings: defaultdict[str, list[int]] = defaultdict(list)
        for number, path in enumerate(paths):
            parts = path.relative_to(base).parts
            self._whole["/".join(parts)] = number
            for start in range(len(parts)):
                self._endings["/".join(parts[start:]).casefold()].append(number)

    def find(self, written: str, place: str) -> int:
        """Give the place, in the paths taken, of the picture that a list calls `written`.

        Raises:
            TrainingError: no picture, or more than one, has this path; `place` names the row.
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

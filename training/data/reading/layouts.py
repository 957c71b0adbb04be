"""Say in one line that a folder has no known layout: which are known, and what was found.

Knows no data set.
"""

from collections.abc import Sequence
from pathlib import Path

from training.data.reading.files import list_folder
from training.errors import TrainingError

SHOWN = 6
"""So many names of a folder go into the message."""


def refuse_layout(root: Path, data_set: str, layouts: Sequence[str]) -> TrainingError:
    """Give the error for a folder whose meaning is not certain.

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

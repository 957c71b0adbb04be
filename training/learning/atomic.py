"""Write files and folders whole or not at all: beside their place, then renamed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.errors import TrainingError


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that a reader never sees half of it.

    Raises:
        TrainingError: the disk is full, say; what stood there still does.
    """
    beside = path.with_name(path.name + ".partial")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as err:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise TrainingError(f"{path} cannot be written: {err.strerror}") from err


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give a folder beside, of the same name, to write into; put it in place only if nothing went wrong.

    Raises:
        TrainingError: the disk is full, say; what stood there still does.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as parent:
            beside = Path(parent) / folder.name
            beside.mkdir()
            yield beside
            replaced = Path(parent) / "replaced"
            if folder.exists():
                folder.rename(replaced)
            try:
                beside.rename(folder)
            except BaseException:
                if replaced.exists():
                    replaced.rename(folder)
                raise
    except OSError as err:
        raise TrainingError(f"{folder} cannot be written: {err.strerror}") from err

"""Write files and folders atomically: under a temporary name, then renamed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.errors import TrainingError


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that no reader ever sees a part of it.

    Raises:
        TrainingError: for example, the disk is full; the old content is kept.
    """
    temporary = path.with_name(path.name + ".partial")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as err:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise TrainingError(f"{path} cannot be written: {err.strerror}") from err


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder of the same name; rename it into place only if nothing was raised.

    Raises:
        TrainingError: for example, the disk is full; the old content is kept.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as parent:
            temporary = Path(parent) / folder.name
            temporary.mkdir()
            yield temporary
            replaced = Path(parent) / "replaced"
            if folder.exists():
                folder.rename(replaced)
            try:
                temporary.rename(folder)
            except BaseException:
                if replaced.exists():
                    replaced.rename(folder)
                raise
    except OSError as err:
        raise TrainingError(f"{folder} cannot be written: {err.strerror}") from err

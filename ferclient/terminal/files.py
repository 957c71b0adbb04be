"""Which image files are meant, and files that are whole or not there at all."""

import errno
import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp"})


def find_images(names: Iterable[str]) -> list[Path]:
    """Return the files that names, folders and patterns mean, each once, in order.

    A folder means the images in it and below; a pattern may hold `**`; a name stays, file or not.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            matches = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(p for p in map(Path, glob.iglob(name, recursive=True)) if p.is_file())  # noqa: PTH207  # absolute patterns too
        else:
            matches = [path]
        found.update(dict.fromkeys(matches))
    return list(found)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a name to write to; it takes the place of `path` when the block ends well, and else is removed.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def free_name(folder: Path, stem: str, suffix: str, taken: set[Path]) -> Path:
    """Return a name in a folder that this run has not used yet: two folders may hold a file of one name."""
    number, path = 1, folder / f"{stem}{suffix}"
    while path in taken:
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    taken.add(path)
    return path

"""Read a data set's files: each is hashed as it is read, and each error is one clear line."""

import csv
import hashlib
import io
from pathlib import Path

from training.errors import TrainingError


class FileReader:
    """The files of one data set, in the order in which they are read."""

    def __init__(self, root: Path) -> None:
        """Start at the folder that file names are hashed relative to."""
        self.root = root
        self._digest = hashlib.sha256()

    def read(self, path: Path) -> bytes:
        """Return a file's bytes and add its name and bytes to the hash.

        Raises:
            TrainingError: it cannot be read.
        """
        try:
            data = path.read_bytes()
        except OSError as err:
            raise TrainingError(f"cannot read {path}: {err.strerror} (--data names the data folder)") from err
        self._digest.update(path.relative_to(self.root).as_posix().encode() + data)
        return data

    def read_text(self, path: Path) -> str:
        """Return a file's text, which must be UTF-8; raises as `read` does."""
        try:
            return self.read(path).decode("utf-8-sig")
        except UnicodeDecodeError as err:
            raise TrainingError(f"{path}: it is not UTF-8 text") from err

    def read_csv(self, path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
        """Return the rows of a csv file with the line that each ends on.

        Blanks around column names are stripped (`icml_face_data.csv` has them); there may be further columns,
        in any order.

        Raises:
            TrainingError: the file cannot be read, lacks a column or ends within a row.
        """
        table = csv.reader(io.StringIO(self.read_text(path), newline=""))
        rows: list[tuple[int, dict[str, str]]] = []
        try:
            header = [name.strip() for name in next(table, [])]
            if not set(columns) <= set(header):
                raise TrainingError(f"{path}: the columns must be {', '.join(columns)}")
            for fields in table:
                if fields and len(fields) != len(header):
                    raise TrainingError(
                        f"{path}, line {table.line_num}: {len(fields)} fields instead of {len(header)}"
                    )
                if fields:
                    rows.append((table.line_num, dict(zip(header, fields, strict=True))))
        except csv.Error as err:
            raise TrainingError(f"{path}, line {table.line_num}: {err}") from err
        if not rows:
            raise TrainingError(f"{path}: it has no rows")
        return rows

    def sha256(self) -> str:
        """Return the hash of all that was read so far."""
        return self._digest.hexdigest()


def list_folder(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted by name, without hidden files such as `.DS_Store`.

    Raises:
        TrainingError: there is no such folder.
    """
    if not folder.is_dir():
        raise TrainingError(f"cannot read {folder}: no such folder (--data names the data folder)")
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))

"""Fetch the weights of detectors that are not shipped: `make models`, or with NAMES="yunet mtcnn".

Needs nothing but Python 3.11. A file counts when its SHA-256 is that of the table, models.toml; what was cut
short stands beside it as *.partial and is resumed.
"""

import argparse
import hashlib
import http.client
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_suffix(".toml")
TRIES = 4
TIMEOUT_S = 30
CHUNK_BYTES = 1 << 16
STOPPED = 130

Entry = dict[str, Any]
"""A detector of the table, as it is read."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file of the table: where it goes, where it is, what it is."""

    path: str
    url: str
    sha256: str
    bytes: int


class Failed(Exception):
    """A file cannot be had; the message is shown as it is."""


class Interrupted(Exception):
    """The transfer broke off, or the server asks to come again: worth another try."""


def main(arguments: list[str] | None = None) -> int:
    """Fetch, and return the exit code: 0 all there, 1 something is not, 130 stopped by the user."""
    parser = argparse.ArgumentParser(prog="make models", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="detectors (default: all but those only fetched by name)")
    parser.add_argument("--list", action="store_true", help="list the table and stop")
    parser.add_argument("--table", type=Path, default=TABLE, help="default: %(default)s")
    parser.add_argument("--into", type=Path, default=ROOT, help="root of the paths (default: %(default)s)")
    options = parser.parse_args(arguments)
    table = tomllib.loads(options.table.read_text(encoding="utf-8"))
    if unknown := [name for name in options.names if name not in table]:
        parser.error(f"there is no {', '.join(unknown)}; there is: {', '.join(table)}")
    if options.list:
        print(list_table(table))
        return 0
    names = options.names or [name for name, entry in table.items() if not entry.get("only_by_name")]
    try:
        are_there = [fetch_all(name, table[name], options.into) for name in names]
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where this one was", file=sys.stderr)
        return STOPPED
    return 0 if all(are_there) else 1


def list_table(table: dict[str, Entry]) -> str:
    """Return what there is to fetch, as text."""
    lines = []
    for name, entry in table.items():
        size = sum(file["bytes"] for file in entry["files"])
        lines.append(f"{name:20} {size / 1e6:6.1f} MB  {entry['about']}; address tried: {entry['tried']}")
        lines += [f"{'':20} {file['url']}" for file in entry["files"]]
        lines += [f"{'':20} then: {entry['then']}"] if "then" in entry else []
    return "\n".join(lines)


def fetch_all(name: str, entry: Entry, root: Path) -> bool:
    """Fetch one detector's files, print how it went, and return whether all are there."""
    try:
        for file in entry["files"]:
            fetch(Wanted(**file), root)
    except Failed as err:
        print(f"{name}: {err}", file=sys.stderr)
        return False
    print(f"{name}: done" + (f"; now make its graphs:\n  {entry['then']}" if "then" in entry else ""))
    return True


def fetch(wanted: Wanted, root: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
    """Make sure that the file is there.

    Raises:
        Failed: it cannot be had or written, or another one stands in its place.
    """
    target = root / wanted.path
    with report_disk_faults(target):
        if target.exists():
            if sha256(target) == wanted.sha256:
                return
            raise Failed(f"{wanted.path} is another file than the table's: move it away to fetch this one")
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch_in_parts(wanted, target, pause)


def fetch_in_parts(wanted: Wanted, target: Path, pause: Callable[[float], None]) -> None:
    """Try `TRIES` times to fetch the file into its place.

    Raises:
        Failed: it is not the table's, or too little of it came each time.
    """
    partial = target.with_name(target.name + ".partial")
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            print(f"{wanted.path}: {reason}; trying again", file=sys.stderr)
            pause(2 ** (attempt - 1))
        had = partial.stat().st_size if partial.exists() else 0
        try:
            if had < wanted.bytes:
                transfer(wanted, partial, had)
        except Interrupted as err:
            reason = str(err)
            continue
        if sha256(partial) == wanted.sha256:
            partial.replace(target)
            return
        partial.unlink()
        if not had:
            raise Failed(f"what is at {wanted.url} is not the file of the table: removed")
        reason = "what was fetched in parts is not the file of the table"
    raise Failed(
        f"{wanted.path}: {reason}; is there a way to the Internet? Or bring it by hand from {wanted.url}"
    )


def transfer(wanted: Wanted, partial: Path, had: int) -> None:
    """Write what is missing of the file to `partial`.

    Raises:
        Interrupted: not all of it came.
        Failed: the server says that there is no such file, or it cannot be written.
    """
    request = urllib.request.Request(wanted.url, headers={"Range": f"bytes={had}-"} if had else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            # a server that knows no ranges sends the whole again
            is_rest = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            with report_disk_faults(partial), partial.open("ab" if is_rest else "wb") as file:
                while file.tell() <= wanted.bytes and (chunk := receive(answer)):
                    file.write(chunk)
                    show_progress(wanted, file.tell())
    except urllib.error.HTTPError as err:
        if err.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.unlink()
        elif err.code < 500 and err.code != http.HTTPStatus.TOO_MANY_REQUESTS:
            raise Failed(f"{wanted.url} answers {err.code} {err.reason}") from err
        raise Interrupted(f"the server answers {err.code} {err.reason}") from err
    except (OSError, http.client.HTTPException) as err:
        raise to_interrupted(err) from err
    if (size := partial.stat().st_size) < wanted.bytes:
        raise Interrupted(f"{size} of {wanted.bytes} bytes came")


def receive(answer: http.client.HTTPResponse) -> bytes:
    """Return the next bytes, none at the end; faults of the network are told apart from those of the disk."""
    try:
        return answer.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as err:
        raise to_interrupted(err) from err


def to_interrupted(err: Exception) -> Interrupted:
    """Return the exception for what the network did."""
    return Interrupted(f"{getattr(err, 'reason', None) or str(err) or type(err).__name__}")


@contextmanager
def report_disk_faults(path: Path) -> Iterator[None]:
    """Turn a fault of the disk into one line; to try again would not help.

    Raises:
        Failed: a file cannot be read or written.
    """
    try:
        yield
    except OSError as err:
        raise Failed(f"{err.filename or path}: {err.strerror or err}") from err


def show_progress(wanted: Wanted, size: int) -> None:
    """Draw one line on a terminal."""
    if sys.stderr.isatty():
        end = "\n" if size >= wanted.bytes else ""
        print(f"\r{wanted.path} {min(1, size / wanted.bytes):4.0%}", end=end, file=sys.stderr, flush=True)


def sha256(file: Path) -> str:
    """Return a file's SHA-256."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())

"""What a test needs beyond the lock: skipped by name where it is absent, a failure where it is required.

`FER_REQUIRE=docker,data` names what must be there, `FER_DATA` the folder of data sets; with `CI=true` Redis,
Triton and the programs that `.ci/run` installs must be there. A test that calls a program of the machine's
without asking for it here fails.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("FER_DATA") or next(iter(sorted(ROOT.parent.glob("*/data"))), ROOT / "data"))
"""The folder of the data sets, which are no part of the project: `FER_DATA`, else the first `../*/data`."""

REQUIRED = frozenset(filter(None, os.environ.get("FER_REQUIRE", "").split(",")))
IN_CI = os.environ.get("CI") == "true"

ALWAYS_THERE = frozenset({"sh", "bash", "make", "git", "uname"})
"""Programs that need not be asked for: the README asks for them, or every Debian has them."""

CALLERS = os.environ.get("FER_PROGRAM_CALLERS")
"""A file to which the tests are written that ask for a program, or start one that is not Python."""

_WATCHED = frozenset({"subprocess.Popen", "socket.bind", "socket.connect"})

_asked: set[str] = set()


def missing(what: str, reason: str, *, is_required: bool = False) -> None:
    """Skip, or fail where `what` is required."""
    if is_required or what in REQUIRED:
        pytest.fail(f"{what} is required: {reason}")
    pytest.skip(f"{what}: {reason}")


def data_folder(name: str) -> Path:
    """Return a folder of the data sets."""
    folder = DATA / name
    if not folder.is_dir():
        missing("data", f"there is no {DATA / name}")
    return folder


def program(*names: str, package: str = "", is_required: bool = IN_CI) -> str:
    """Return the path of a program of the machine's: the first of `names` that is on `PATH`.

    Args:
        names: of one program.
        package: of Debian, where it is not called like the program.
        is_required: its absence is a failure.
    """
    _asked.update(names)
    _note_caller()
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing(names[0], f"not on PATH; Debian: apt install {package or names[0]}", is_required=is_required)
        raise AssertionError
    return found


def watch() -> None:
    """From now on, refuse what a test must not do.

    None starts a program of the machine's that it has not asked for; those of `tests/unit` start no process
    and open no socket.
    """
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _WATCHED or "PYTEST_CURRENT_TEST" not in os.environ:
        return
    if os.environ["PYTEST_CURRENT_TEST"].startswith("tests/unit/"):
        raise RuntimeError(f"a unit test must not do this ({event}): see tests/README.md")
    if event == "subprocess.Popen":
        _refuse_unasked(arguments)


def _refuse_unasked(arguments: tuple[object, ...]) -> None:
    executable = os.fsdecode(arguments[0])  # type: ignore[arg-type]  # of this event it is a path
    if executable == sys.executable:
        return
    _note_caller()
    name = Path(executable).name
    is_of_the_machine = shutil.which(name) in (executable, shutil.which(executable))
    if is_of_the_machine and name not in ALWAYS_THERE | _asked:
        raise RuntimeError(
            f"{name} is called without asking for it: see `program` in tests/support/requires.py"
        )


def _note_caller() -> None:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    if CALLERS and test:
        with Path(CALLERS).open("a", encoding="utf-8") as file:
            file.write(f"{test}\n")

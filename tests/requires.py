"""What a test needs beyond the lock: skipped by name where it is absent, a failure where it is required.

`FER_REQUIRE=docker,data` names what must be there; with `CI=true` Redis and Triton must.
"""

import os
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
REQUIRED = frozenset(filter(None, os.environ.get("FER_REQUIRE", "").split(",")))
IN_CI = os.environ.get("CI") == "true"


def missing(what: str, reason: str, *, is_required: bool = False) -> None:
    """Skip, or fail where `what` is required."""
    if is_required or what in REQUIRED:
        pytest.fail(f"{what} is required: {reason}")
    pytest.skip(f"{what}: {reason}")


def data_folder(name: str) -> Path:
    """Give a folder of the shared data."""
    folder = DATA / name
    if not folder.is_dir():
        missing("data", f"there is no {name}/ beside the checkout")
    return folder

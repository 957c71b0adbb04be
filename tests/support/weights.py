"""Weights of detectors for tests: those in the model repository, or the same ones among the data sets."""

import hashlib
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.support.requires import DATA, ROOT, missing


def repository_with(files: Sequence[str], folder: Path) -> Path:
    """Make a model repository of these files, or skip by the name of one that is not at hand."""
    for file in files:
        source = ROOT / "model_repository" / file
        if not source.is_file():
            source = _among_data(file)
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return folder


def _among_data(file: str) -> Path:
    """Find what `make models` would fetch, by its SHA-256."""
    table = tomllib.loads((ROOT / "deploy/local/models.toml").read_text(encoding="utf-8"))
    wanted = {
        each["sha256"]
        for entry in table.values()
        for each in entry["files"]
        if each["path"] == f"model_repository/{file}"
    }
    for path in sorted((DATA / "weights").glob("*")):
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() in wanted:
            return path
    missing("weights", f"there is no {file}; `make models` fetches it or says how to make it")
    raise AssertionError

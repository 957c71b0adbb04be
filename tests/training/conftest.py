"""A tiny data folder, and the config of a run on it that takes a second.

Without torch (it has its own environment, `make test-training`) the tests here are not collected.
"""

import importlib
import importlib.util
from pathlib import Path

import pytest
import yaml

from tests.training.tiny_fer import FerFolder

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Limit torch to one thread: with networks this small, more threads only wait for each other."""
    importlib.import_module("torch").set_num_threads(1)


@pytest.fixture
def fer(tmp_path: Path) -> FerFolder:
    """A data folder not yet written."""
    return FerFolder(tmp_path / "data")


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """The config of a run called `tiny`."""
    config = {
        "name": "tiny",
        "seed": 3,
        "data": {"name": "fer_plus"},
        "architecture": {"name": "cnn3", "options": {"blocks": [[4], [4], [8]], "dropout": 0.1}},
        "fit": {"epochs": 3, "batch_size": 16, "threads": 1, "warmup_epochs": 1},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path

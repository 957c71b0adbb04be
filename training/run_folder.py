"""A run's folder on disk: config, provenance, metrics an epoch, checkpoints.

Knows no training: it only keeps what `fit` hands it, and never leaves a half-written file.
"""

import csv
import io
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from fercore.contracts.emotions import EMOTIONS, Emotion
from training.errors import TrainingError
from training.whole import write_whole

CONFIG, PROVENANCE, METRICS = "config.json", "provenance.json", "metrics.csv"
CHECKPOINT, BEST, PREPROCESSING = "checkpoint.pt", "best.pt", "preprocessing.pt"


class Config(Protocol):
    """The config of an experiment, of emotion models or of detectors."""

    def as_json(self) -> str:
        """Give it whole, defaults filled in."""
        ...


class Data(Protocol):
    """What is learnt from, as far as a run's provenance tells."""

    @property
    def sha256(self) -> str:
        """Hash of all that is learnt from."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """What is told apart; nothing for detectors."""
        ...


def prepare(folder: Path, config: Config, data: Data, *, resume: bool) -> None:
    """Create a run's folder, or make sure that a resumed one is the same run.

    Raises:
        TrainingError: it exists though nothing is resumed, or config or data have changed since.
    """
    provenance = {"git_commit": git_commit(), "data_sha256": data.sha256, "labels": list(data.labels)}
    if not (folder / CHECKPOINT).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, config.as_json())
        write_text(folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
        return
    if not resume:
        raise TrainingError(f"{folder} already holds a run: continue it with --resume, or move it away")
    if (folder / CONFIG).read_text(encoding="utf-8") != config.as_json():
        raise TrainingError(f"{folder} was made from another config: it cannot be resumed with this one")
    if json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["data_sha256"] != data.sha256:
        raise TrainingError(f"{folder} was made from other data: it cannot be resumed with these")


def load_labels(folder: Path) -> tuple[Emotion, ...]:
    """Read which emotions a run's network tells apart, in canonical order.

    Runs made before there were others know all eight.

    Raises:
        TrainingError: the run's provenance is broken.
    """
    try:
        provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        return tuple(Emotion(label) for label in provenance.get("labels", EMOTIONS))
    except FileNotFoundError:
        return EMOTIONS
    except (OSError, ValueError) as err:
        raise TrainingError(f"{folder / PROVENANCE} cannot be read: {err}") from err


def save_state(path: Path, state: dict[str, object]) -> None:
    """Write tensors and plain values beside, then rename.

    Raises:
        TrainingError: the disk is full, say; what stood there still does.
    """
    content = io.BytesIO()  # torch hides what went wrong when it writes a file itself
    torch.save(state, content)
    write_whole(path, content.getbuffer())


def load_state(path: Path) -> dict[str, object]:
    """Read what `save_state` wrote.

    Raises:
        TrainingError: there is no such file.
    """
    if not path.is_file():
        raise TrainingError(f"{path.parent} has no {path.name}: has this run finished an epoch?")
    state: dict[str, object] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    """Write one row an epoch to `metrics.csv`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(folder / METRICS, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write beside, then rename, so that a reader never sees half of it.

    Raises:
        TrainingError: the disk is full, say; what stood there still does.
    """
    write_whole(path, text.encode())


def git_commit() -> str:
    """Give the commit that runs, with `-dirty` where the working tree differs from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(  # noqa: S603 - fixed arguments
            command, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

"""A run's folder on disk: config, provenance, metrics an epoch, checkpoints.

No file is ever left half-written.
"""

import csv
import io
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor

from fercore.contracts.emotions import EMOTIONS, Emotion
from training.config import RunConfig, load_config
from training.errors import TrainingError
from training.learning.atomic import write_atomic
from training.learning.provenance import git_commit
from training.networks.build import Servable, build_network
from training.networks.preprocessing import Preprocessing

CONFIG, PROVENANCE, METRICS = "config.json", "provenance.json", "metrics.csv"
CHECKPOINT, BEST, PREPROCESSING = "checkpoint.pt", "best.pt", "preprocessing.pt"

_STATE_FAULTS = (OSError, RuntimeError, ValueError, LookupError, EOFError, pickle.UnpicklingError)
"""What torch raises on a file of its own that is cut short, damaged, or none of its own."""


class Config(Protocol):
    """The config of an experiment, of emotion models or of detectors."""

    def as_json(self) -> str:
        """Return it whole, defaults filled in."""
        ...


class Data(Protocol):
    """The training data, as recorded in a run's provenance."""

    @property
    def sha256(self) -> str:
        """Hash of the training data."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """The classes; none for detectors."""
        ...


def prepare(folder: Path, config: Config, data: Data, *, resume: bool) -> None:
    """Create a run's folder, or make sure that a resumed one is the same run.

    Raises:
        TrainingError: it exists though nothing is resumed, or config or data have changed since, or what
            is written of them cannot be read.
    """
    provenance = {"git_commit": git_commit(), "data_sha256": data.sha256, "labels": list(data.labels)}
    if not (folder / CHECKPOINT).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, config.as_json())
        write_text(folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
        return
    if not resume:
        raise TrainingError(f"{folder} already holds a run: continue it with --resume, or move it away")
    if read_json(folder / CONFIG) != json.loads(config.as_json()):
        raise TrainingError(f"{folder} was made from another config: it cannot be resumed with this one")
    if read_json(folder / PROVENANCE).get("data_sha256") != data.sha256:
        raise TrainingError(f"{folder} was made from other data: it cannot be resumed with these")


def load_labels(folder: Path) -> tuple[Emotion, ...]:
    """Read the labels of a run's network, in canonical order.

    Older runs do not record them; they have all eight.

    Raises:
        TrainingError: the run's provenance is broken.
    """
    if not (folder / PROVENANCE).exists():
        return EMOTIONS
    labels = read_json(folder / PROVENANCE).get("labels", EMOTIONS)
    try:
        return tuple(Emotion(label) for label in cast("Sequence[str]", labels))
    except (TypeError, ValueError) as err:
        raise TrainingError(f"{folder / PROVENANCE} cannot be read: its labels are no emotions") from err


def load_run(run: Path) -> tuple[RunConfig, Servable]:
    """Read a run's config and its best weights.

    Raises:
        TrainingError: it is not a run, has not finished an epoch, or a file of it is damaged.
    """
    config = load_config(run / CONFIG)
    network = build_network(config.architecture, len(load_labels(run)))
    state = load_state(run / BEST)
    try:
        network.load_state_dict(cast("dict[str, Tensor]", state["network"]))
    except (KeyError, RuntimeError) as err:
        raise TrainingError(f"{run / BEST} does not fit the network of {CONFIG}") from err
    preprocessing = Preprocessing(config.preprocessing)
    if config.preprocessing.components:
        preprocessing.load_state_dict(load_state(run / PREPROCESSING))
    return config, Servable(preprocessing, network.eval())


def read_json(path: Path) -> dict[str, object]:
    """Read one of a run's JSON files: values by name.

    Raises:
        TrainingError: it is missing, cut short or something else.
    """
    try:
        table: object = json.loads(path.read_bytes())
    except OSError as err:
        raise TrainingError(f"{path} cannot be read: {err.strerror}") from err
    except ValueError as err:
        raise TrainingError(f"{path} cannot be read: cut short, or not JSON ({err})") from err
    if not isinstance(table, dict):
        raise TrainingError(f"{path} cannot be read: it is no table of values by name")
    return table


def save_state(path: Path, state: dict[str, object]) -> None:
    """Write tensors and plain values atomically.

    Raises:
        TrainingError: for example, the disk is full; the old file is kept.
    """
    content = io.BytesIO()  # torch hides what went wrong when it writes a file itself
    torch.save(state, content)
    write_atomic(path, content.getbuffer())


def load_state(path: Path) -> dict[str, object]:
    """Read what `save_state` wrote.

    Raises:
        TrainingError: there is no such file, or it is cut short, damaged or something else.
    """
    if not path.is_file():
        raise TrainingError(f"{path.parent} has no {path.name}: has this run finished an epoch?")
    try:
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except _STATE_FAULTS as err:  # torch's own message fills a screen, or names no file
        raise TrainingError(
            f"{path} cannot be read: cut short, damaged or no file of torch's ({type(err).__name__})"
        ) from err
    if not isinstance(state, dict):
        raise TrainingError(f"{path} cannot be read: it is no table of values by name")
    return state


def write_metrics(folder: Path, history: list[dict[str, float]]) -> None:
    """Write one row an epoch to `metrics.csv`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(folder / METRICS, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        TrainingError: for example, the disk is full; the old file is kept.
    """
    write_atomic(path, text.encode())

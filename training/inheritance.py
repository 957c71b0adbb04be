"""What a run takes over from a finished one: its weights to start from, or its answers to learn from.

Knows no training loop. The weights are pinned by their hash, so that a resumed run has the same ancestors.
"""

import hashlib
import json
from pathlib import Path

from torch import nn

from training import run_folder
from training.config import RunConfig
from training.errors import TrainingError
from training.export import load_run
from training.networks import Servable

PINS = "inherited.json"


def load_ancestor(ancestor: Path, run: Path, role: str) -> tuple[RunConfig, Servable]:
    """Read a finished run's network, and pin it in the folder of the run that takes over from it.

    Args:
        ancestor: the finished run's folder.
        run: the folder of the run that is made.
        role: what the ancestor is to it.

    Raises:
        TrainingError: it is no finished run, knows other labels, or is not what the run began with.
    """
    config, servable = load_run(ancestor)
    if run_folder.load_labels(ancestor) != run_folder.load_labels(run):
        raise TrainingError(f"{role} {ancestor} was trained on other labels")
    pins = json.loads((run / PINS).read_text(encoding="utf-8")) if (run / PINS).exists() else {}
    sha256 = hashlib.sha256((ancestor / run_folder.BEST).read_bytes()).hexdigest()
    has_begun = (run / run_folder.CHECKPOINT).exists()
    if has_begun and pins.get(role) != sha256:
        raise TrainingError(f"{role} {ancestor} has changed since {run} began")
    pins[role] = sha256
    run_folder.write_text(run / PINS, json.dumps(pins, indent=2) + "\n")
    return config, servable


def start_from(network: nn.Module, ancestor: Path, run: Path) -> None:
    """Give a network the best weights of a finished run.

    Raises:
        TrainingError: as for `load_ancestor`, or the weights do not fit.
    """
    _, servable = load_ancestor(ancestor, run, "start_from")
    try:
        network.load_state_dict(servable.network.state_dict())
    except RuntimeError as err:
        raise TrainingError(f"start_from {ancestor}: its weights do not fit this architecture") from err

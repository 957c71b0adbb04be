"""Take over weights or answers of a finished run.

The weights are pinned by their hash, so that a resumed run has the same ancestors.
"""

import hashlib
import json
from pathlib import Path

from torch import nn

from training.config import ArchitectureConfig, RunConfig
from training.errors import TrainingError
from training.learning import run_folder
from training.learning.pruning import narrow
from training.learning.run_folder import load_run
from training.networks.build import Servable, build_network

PINS = "inherited.json"


def load_ancestor(ancestor: Path, run: Path, role: str) -> tuple[RunConfig, Servable]:
    """Read a finished run's network, and pin it in the folder of the run that takes over from it.

    Args:
        ancestor: the finished run's folder.
        run: the folder of the run that is made.
        role: how the run uses the ancestor.

    Raises:
        TrainingError: it is not a finished run, or has changed since the run began.
    """
    config, servable = load_run(ancestor)
    pin(ancestor, run, role)
    return config, servable


def pin(ancestor: Path, run: Path, role: str) -> None:
    """Note the hash of a finished run's weights in the folder of the run that takes over from it.

    Raises:
        TrainingError: they are not those that the run began with, or the note cannot be read.
    """
    pins = run_folder.read_json(run / PINS) if (run / PINS).exists() else {}
    sha256 = hashlib.sha256((ancestor / run_folder.BEST).read_bytes()).hexdigest()
    has_begun = (run / run_folder.CHECKPOINT).exists()
    if has_begun and pins.get(role) != sha256:
        raise TrainingError(f"{role} {ancestor} has changed since {run} began")
    pins[role] = sha256
    run_folder.write_text(run / PINS, json.dumps(pins, indent=2) + "\n")


def knows_other_labels(ancestor: Path, run: Path) -> bool:
    """Return whether a finished run has other labels than a run that takes over from it."""
    return run_folder.load_labels(ancestor) != run_folder.load_labels(run)


def start_from(network: nn.Module, ancestor: Path, run: Path, *, is_narrowed: bool = False) -> None:
    """Load the best weights of a finished run; where its labels differ, all but its head's.

    Args:
        network: is changed.
        ancestor: the finished run's folder.
        run: the folder of the run that is made.
        is_narrowed: of a wider network the strongest channels are taken.

    Raises:
        TrainingError: as for `load_ancestor`, or the weights do not fit.
    """
    config, servable = load_ancestor(ancestor, run, "start_from")
    weights, own = servable.network.state_dict(), network.state_dict()
    if knows_other_labels(ancestor, run):
        head = _name_label_weights(config.architecture)
        print(f"start_from {ancestor}: it knows other labels, so {', '.join(head)} start afresh")
        weights |= {name: own[name] for name in head if name in own}
    try:
        network.load_state_dict(narrow(weights, network) if is_narrowed else weights)
    except (KeyError, RuntimeError) as err:
        raise TrainingError(f"start_from {ancestor}: its weights do not fit this architecture") from err


def _name_label_weights(architecture: ArchitectureConfig) -> list[str]:
    """Return the names of the weights whose shape follows the number of labels."""
    two, three = (build_network(architecture, classes).state_dict() for classes in (2, 3))
    return [name for name, weight in two.items() if weight.shape != three[name].shape]

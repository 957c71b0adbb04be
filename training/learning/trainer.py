"""The training loop, the same for emotion models and detectors; a `Task` defines what is learned.

An epoch's randomness depends on seed and epoch only, so a resumed run gives the same numbers as an unbroken
one. After each epoch `checkpoint.pt` holds all that is needed to go on, `best.pt` the averaged weights of the
best epoch, and `metrics.csv` the figures.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.config import FitConfig
from training.errors import TrainingError
from training.learning import run_folder
from training.learning.schedule import cosine, warmup
from training.learning.state import BestBy, Progress, Row, State, Validation
from training.learning.tensorboard import open_scalars

SEED_STRIDE = 10_007
"""Epochs of runs with neighbouring seeds never share a seed."""

Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one batch.

    Attributes:
        total: what the step lowers, a scalar.
        parts: what is reported of it, by name; scalars.
        weight: of this batch in the epoch's mean.
    """

    total: Tensor
    parts: Mapping[str, Tensor]
    weight: float = 1.0


class Task(Protocol[Batch]):
    """What a network learns, and how it is validated."""

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        ...

    @property
    def best_by(self) -> BestBy:
        """Which epoch's weights are kept."""
        ...

    def start_epoch(self, network: nn.Module) -> None:
        """Set training mode."""
        ...

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; torch's generator is seeded for it."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """Compute the loss of a batch."""
        ...

    def validate(self, network: nn.Module) -> Validation:
        """Measure a network on held-out data."""
        ...

    def speed(self, seconds: float) -> Row:
        """Return the reported speed of an epoch's steps."""
        ...


def train(task: Task[Batch], state: State, fit: FitConfig, *, seed: int, folder: Path) -> Progress:
    """Train until the epochs are over or the best one is too long ago.

    Raises:
        KeyboardInterrupt: stopped by the user; the checkpoint of the last whole epoch is kept.
        TrainingError: the loss is not a number, or the disk is full.
    """
    progress = state.progress
    with open_scalars(folder, progress.epoch, is_on=fit.tensorboard) as scalars:
        while progress.epoch < fit.epochs:
            if progress.has_stalled(fit):
                print(f"no better validation accuracy since epoch {progress.best_epoch}: stopped early")
                break
            lr = progress.lr * cosine(fit, progress.epoch)
            started = time.monotonic()
            losses = train_one_epoch(task, state, fit, seed=seed)
            seconds = time.monotonic() - started
            validation = task.validate(state.average.network)
            progress.epoch += 1
            row = {"epoch": progress.epoch, "lr": lr, **losses, **validation.figures, **task.speed(seconds)}
            state.history.append(row)
            print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
            if progress.note_best(validation, task.best_by):
                best: dict[str, object] = {"network": state.average.network.state_dict()}
                run_folder.save_state(folder / run_folder.BEST, best)
            if fit.schedule == "plateau":
                progress.note_loss(validation.loss, fit)
            scalars.write(progress.epoch, row)
            state.save(folder)
    return progress


def train_one_epoch(task: Task[Batch], state: State, fit: FitConfig, *, seed: int) -> Row:
    """Take one step a batch; return the weighted mean of each part of the loss.

    Raises:
        TrainingError: the loss is not a number; the state is then not worth keeping.
    """
    epoch, steps = state.progress.epoch, task.steps
    torch.manual_seed(seed * SEED_STRIDE + epoch)
    task.start_epoch(state.network)
    sums: dict[str, float] = {}
    weights = 0.0
    batches = tqdm(
        task.batches(epoch),
        total=steps,
        desc=f"epoch {epoch + 1}/{fit.epochs}",
        unit="batch",
        mininterval=1.0,
    )
    for number, batch in enumerate(batches):
        step = epoch * steps + number
        state.set_lr(state.progress.lr * warmup(fit, step, steps) * cosine(fit, step / steps))
        loss = task.loss(state.network, batch)
        if not math.isfinite(value := float(loss.total.detach())):
            raise TrainingError(
                f"the training loss is {value} in batch {number + 1} of epoch {epoch + 1}: "
                "lower fit.lr or use float32; what the last whole epoch left stands"
            )
        state.step(loss.total)
        weights += loss.weight
        for name, part in loss.parts.items():
            sums[name] = sums.get(name, 0.0) + float(part.detach()) * loss.weight
    return {name: round(total / weights, 5) for name, total in sums.items()}

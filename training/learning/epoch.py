"""One pass over the training faces.

Knows no data set and no architecture by name. Its randomness depends on the run's seed and the epoch only.
"""

import math
from dataclasses import dataclass

import torch
from tqdm import tqdm

from training.config import FitConfig, RunConfig
from training.errors import TrainingError
from training.learning.augmentation import augment, mix_up
from training.learning.class_balance import Balance
from training.learning.device import autocast
from training.learning.losses import Objective
from training.learning.prepared import Prepared
from training.learning.state import State

SEED_STRIDE = 10_007
"""Epochs of runs with neighbouring seeds never share a seed."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learnt: the faces, how often each comes, and what is judged."""

    split: Prepared
    balance: Balance
    objective: Objective


def run_epoch(config: RunConfig, state: State, lesson: Lesson) -> float:
    """Show each drawn face once and give the mean loss.

    Raises:
        TrainingError: the loss is no number; the state is then not worth keeping.
    """
    fitting, progress, total = config.fit, state.progress, 0.0
    split, balance = lesson.split, lesson.balance
    torch.manual_seed(config.seed * SEED_STRIDE + progress.epoch)
    state.network.train()
    batches = balance.draw_rows().split(fitting.batch_size)  # type: ignore[no-untyped-call]
    warmup_steps = fitting.warmup_epochs * len(batches)
    title = f"epoch {progress.epoch + 1}/{fitting.epochs}"
    for number, rows in enumerate(tqdm(batches, desc=title, unit="batch", mininterval=1.0)):
        step = progress.epoch * len(batches) + number
        warmth = min(1.0, 0.1 + 0.9 * step / warmup_steps) if warmup_steps else 1.0
        state.set_lr(progress.lr * warmth * cosine(fitting, step / len(batches)))
        faces = augment(
            split.faces[rows],
            config.augmentation,
            full_scale=1 / config.preprocessing.std,
            strengths=balance.strengths[rows],
        )
        batch = mix_up(faces, rows, config.augmentation.mixup)
        with autocast(faces.device, fitting.precision):
            logits, _ = state.network(batch.faces.contiguous(memory_format=torch.channels_last))
        loss = lesson.objective(logits.float(), batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the training loss is {value} in batch {number + 1} of epoch {progress.epoch + 1}: "
                "lower fit.lr or use float32; what the last whole epoch left stands"
            )
        state.step(loss)
        total += value * len(rows)
    return total / len(split)


def cosine(fitting: FitConfig, epoch: float) -> float:
    """Give the factor of the learning rate at a point of the run, 1 to 0 (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 + math.cos(math.pi * epoch / fitting.epochs)) if fitting.schedule == "cosine" else 1.0

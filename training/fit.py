"""Fit a network to faces: the training loop.

Knows no data set and no architecture by name. An epoch's randomness depends on seed and epoch only, so a
resumed run gives the same numbers as an unbroken one.
"""

import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn
from tqdm import tqdm

from training import run_folder
from training.augmentation import augment
from training.balancing import Balance
from training.config import FitConfig, RunConfig
from training.errors import TrainingError
from training.faces import Faces
from training.losses import Objective
from training.mixup import mix_up
from training.networks import build_initial, build_network
from training.prepared import CHUNK, Prepared, prepare
from training.preprocessing import Preprocessing
from training.state import Progress, State

SEED_STRIDE = 10_007
"""Epochs of runs with neighbouring seeds never share a seed."""


def fit(config: RunConfig, train: Faces, validation: Faces, folder: Path) -> Progress:
    """Train until the epochs are over or validation accuracy has stopped rising.

    After each epoch `checkpoint.pt` holds all that is needed to go on, `best.pt` the averaged weights of
    the epoch with the best validation accuracy, and `metrics.csv` the figures.

    Raises:
        KeyboardInterrupt: stopped by the user; the checkpoint of the last whole epoch stands.
    """
    if config.fit.threads:
        torch.set_num_threads(config.fit.threads)
    preprocessing = Preprocessing(config.preprocessing)
    known = prepare(train, preprocessing, config.data, "cropping training faces")
    unseen = prepare(validation, preprocessing, config.data, "cropping validation faces")
    balance = Balance(known.targets, config.balancing)
    objective = Objective(config, balance, known.targets)
    torch.manual_seed(config.seed)
    build = build_network if (folder / run_folder.CHECKPOINT).exists() else build_initial
    network = build(config.architecture, train.votes.shape[1])
    state = State(network.to(memory_format=torch.channels_last), config.fit)
    state.load(folder)
    progress = state.progress
    while progress.epoch < config.fit.epochs:
        if progress.has_stalled(config.fit):
            print(f"no better validation accuracy since epoch {progress.best_epoch}: stopped early")
            break
        started = time.monotonic()
        lr = progress.lr * _cosine(config.fit, progress.epoch)
        train_loss = _run_epoch(config, state, known, balance, objective)
        seconds = time.monotonic() - started
        loss, accuracy = judge(state.average.network, unseen, config.fit.precision)
        progress.epoch += 1
        row = {
            "epoch": progress.epoch,
            "lr": lr,
            "train_loss": round(train_loss, 5),
            "validation_loss": round(loss, 5),
            "validation_accuracy": round(accuracy, 5),
            "faces_per_second": round(len(known) / seconds, 1),
        }
        state.history.append(row)
        print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
        if accuracy > progress.best_accuracy:
            progress.best_accuracy, progress.best_epoch = accuracy, progress.epoch
            run_folder.save_state(folder / run_folder.BEST, {"network": state.average.network.state_dict()})
        if config.fit.schedule == "plateau":
            progress.note_loss(loss, config.fit)
        state.save(folder)
    return progress


def judge(network: nn.Module, split: Prepared, precision: str) -> tuple[float, float]:
    """Give the mean cross-entropy, and the accuracy against the majority."""
    network.eval()
    with torch.no_grad(), _autocast(precision):
        logits = torch.cat([network(part)[0].float() for part in split.faces.split(CHUNK)])  # type: ignore[no-untyped-call]
    loss = float(F.cross_entropy(logits, split.targets))
    return loss, float((logits.argmax(dim=1) == split.majority).float().mean())


def _run_epoch(
    config: RunConfig, state: State, split: Prepared, balance: Balance, objective: Objective
) -> float:
    fitting, progress, total = config.fit, state.progress, 0.0
    torch.manual_seed(config.seed * SEED_STRIDE + progress.epoch)
    state.network.train()
    batches = balance.draw_rows().split(fitting.batch_size)  # type: ignore[no-untyped-call]
    warmup_steps = fitting.warmup_epochs * len(batches)
    title = f"epoch {progress.epoch + 1}/{fitting.epochs}"
    for number, rows in enumerate(tqdm(batches, desc=title, unit="batch", mininterval=1.0)):
        step = progress.epoch * len(batches) + number
        warmth = min(1.0, 0.1 + 0.9 * step / warmup_steps) if warmup_steps else 1.0
        for group in state.optimizer.param_groups:
            group["lr"] = progress.lr * warmth * _cosine(fitting, step / len(batches))
        faces = augment(
            split.faces[rows],
            config.augmentation,
            full_scale=1 / config.preprocessing.std,
            strengths=balance.strengths[rows],
        )
        batch = mix_up(faces, rows, config.augmentation.mixup)
        with _autocast(fitting.precision):
            logits, _ = state.network(batch.faces.contiguous(memory_format=torch.channels_last))
        loss = objective(logits.float(), batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the training loss is {value} in batch {number + 1} of epoch {progress.epoch + 1}: "
                "lower fit.lr or use float32; what the last whole epoch left stands"
            )
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.average.update(state.network)
        total += value * len(rows)
    return total / len(split)


def _cosine(fitting: FitConfig, epoch: float) -> float:
    """Give the factor of the learning rate at a point of the run, 1 to 0 (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 + math.cos(math.pi * epoch / fitting.epochs)) if fitting.schedule == "cosine" else 1.0


def _autocast(precision: str) -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")

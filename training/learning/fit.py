"""Fit a network to faces: epochs until they are over or no longer help.

Knows no data set and no architecture by name. An epoch's randomness depends on seed and epoch only, so a
resumed run gives the same numbers as an unbroken one.
"""

import time
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from training.config import FitConfig, RunConfig
from training.data.faces import Faces
from training.learning import run_folder
from training.learning.class_balance import Balance
from training.learning.device import autocast, choose_device
from training.learning.distillation import load_teacher
from training.learning.epoch import Lesson, cosine, run_epoch
from training.learning.losses import Objective
from training.learning.prepared import CHUNK, Prepared, fit_preprocessing, prepare
from training.learning.pruning import find_masks
from training.learning.state import Progress, State
from training.learning.tensorboard import Scalars, open_scalars
from training.learning.warm_start import start_from
from training.networks.build import build_initial, build_network


def fit(config: RunConfig, train: Faces, validation: Faces, folder: Path) -> Progress:
    """Train until the epochs are over or validation accuracy has stopped rising.

    After each epoch `checkpoint.pt` holds all that is needed to go on, `best.pt` the averaged weights of
    the epoch with the best validation accuracy, and `metrics.csv` the figures.

    Raises:
        KeyboardInterrupt: stopped by the user; the checkpoint of the last whole epoch stands.
    """
    if config.fit.threads:
        torch.set_num_threads(config.fit.threads)
    device = choose_device(config.fit)
    preprocessing = fit_preprocessing(config, train, folder)
    known = prepare(train, preprocessing, config.data, "cropping training faces").to(device)
    unseen = prepare(validation, preprocessing, config.data, "cropping validation faces").to(device)
    balance = Balance(known.targets.cpu(), config.balancing)
    teacher = load_teacher(config, train, folder, device)
    objective = Objective(config, balance, known.targets, teacher)
    torch.manual_seed(config.seed)
    network = _first_network(config, train.votes.shape[1], folder)
    network = network.to(device).to(memory_format=torch.channels_last)
    sparsity = config.pruning.sparsity if config.pruning else None
    masks = find_masks(network, sparsity) if sparsity else None
    state = State(network, config.fit, masks)
    state.load(folder)
    lesson = Lesson(known, balance, objective)
    with open_scalars(folder, state.progress.epoch, is_on=config.fit.tensorboard) as scalars:
        _run_epochs(config, state, lesson, unseen, folder, scalars=scalars)
    return state.progress


def _first_network(config: RunConfig, classes: int, folder: Path) -> nn.Module:
    is_resumed = (folder / run_folder.CHECKPOINT).exists()
    build = build_network if is_resumed or config.start_from else build_initial
    network = build(config.architecture, classes)
    if config.start_from and (config.pruning or not is_resumed):  # what is pruned follows from these weights
        is_narrowed = config.pruning is not None and config.pruning.channels
        start_from(network, Path(config.start_from), folder, is_narrowed=is_narrowed)
    return network


def _run_epochs(
    config: RunConfig, state: State, lesson: Lesson, unseen: Prepared, folder: Path, *, scalars: Scalars
) -> None:
    progress = state.progress
    while progress.epoch < config.fit.epochs:
        if progress.has_stalled(config.fit):
            print(f"no better validation accuracy since epoch {progress.best_epoch}: stopped early")
            break
        started = time.monotonic()
        lr = progress.lr * cosine(config.fit, progress.epoch)
        train_loss = run_epoch(config, state, lesson)
        seconds = time.monotonic() - started
        loss, accuracy = judge(state.average.network, unseen, config.fit)
        progress.epoch += 1
        row = {
            "epoch": progress.epoch,
            "lr": lr,
            "train_loss": round(train_loss, 5),
            "validation_loss": round(loss, 5),
            f"validation_{config.fit.best_by}": round(accuracy, 5),
            "faces_per_second": round(len(lesson.split) / seconds, 1),
        }
        state.history.append(row)
        print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
        if accuracy > progress.best_accuracy:
            progress.best_accuracy, progress.best_epoch = accuracy, progress.epoch
            run_folder.save_state(folder / run_folder.BEST, {"network": state.average.network.state_dict()})
        if config.fit.schedule == "plateau":
            progress.note_loss(loss, config.fit)
        scalars.write(progress.epoch, row)
        state.save(folder)


def judge(network: nn.Module, split: Prepared, fitting: FitConfig) -> tuple[float, float]:
    """Give the mean cross-entropy, and the accuracy against the majority that `best_by` names."""
    network.eval()
    with torch.no_grad(), autocast(split.faces.device, fitting.precision):
        logits = torch.cat([network(part)[0].float() for part in split.faces.split(CHUNK)])  # type: ignore[no-untyped-call]
    loss = float(F.cross_entropy(logits, split.targets))
    is_right = (logits.argmax(dim=1) == split.majority).float()
    if fitting.best_by == "accuracy":
        return loss, float(is_right.mean())
    labels = split.majority.unique()  # type: ignore[no-untyped-call]
    recalls = [is_right[split.majority == label].mean() for label in labels]
    return loss, float(torch.stack(recalls).mean())

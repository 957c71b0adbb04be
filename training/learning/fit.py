"""Train an emotion model: faces in, emotions out.

The loop is `training.learning.trainer`.
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import nn

from training.config import FitConfig, RunConfig
from training.data.faces import Faces
from training.learning import run_folder
from training.learning.augmentation import Mixture, augment, mix_up
from training.learning.class_balance import Balance
from training.learning.device import autocast, choose_device
from training.learning.distillation import load_teacher
from training.learning.losses import Objective
from training.learning.prepared import CHUNK, Prepared, fit_preprocessing, prepare
from training.learning.pruning import find_masks
from training.learning.state import BestBy, Progress, Row, State, Validation
from training.learning.trainer import Loss, train
from training.learning.warm_start import start_from
from training.networks.build import build_initial, build_network


def fit(config: RunConfig, faces: Faces, validation: Faces, folder: Path) -> Progress:
    """Train on faces until the epochs are over or validation accuracy has stopped rising.

    Raises:
        KeyboardInterrupt: stopped by the user; the checkpoint of the last whole epoch is kept.
        TrainingError: the loss is not a number, a balance or an ancestor is wrong, or the disk is full.
    """
    task = prepare_task(config, faces, validation, folder)
    state = first_state(config, task, faces.votes.shape[1], folder)
    state.load(folder)
    return train(task, state, config.fit, seed=config.seed, folder=folder)


def prepare_task(config: RunConfig, faces: Faces, validation: Faces, folder: Path) -> "EmotionTask":
    """Load both splits into the memory of the device, with all that a run learns from; raises as `fit`."""
    if config.fit.threads:
        torch.set_num_threads(config.fit.threads)
    device = choose_device(config.fit)
    preprocessing = fit_preprocessing(config, faces, folder)
    seen = prepare(faces, preprocessing, config.data, "cropping training faces").to(device)
    unseen = prepare(validation, preprocessing, config.data, "cropping validation faces").to(device)
    balance = Balance(seen.targets.cpu(), config.balancing)
    teacher = load_teacher(config, faces, folder, device)
    return EmotionTask(config, seen, unseen, balance, Objective(config, balance, seen.targets, teacher))


def first_state(config: RunConfig, task: "EmotionTask", classes: int, folder: Path) -> State:
    """Build the network and its training state as a run begins; raises as `fit`."""
    torch.manual_seed(config.seed)
    network = _build_first_network(config, classes, folder)
    network = network.to(task.device).to(memory_format=torch.channels_last)
    sparsity = config.pruning.sparsity if config.pruning else None
    return State(network, config.fit, find_masks(network, sparsity) if sparsity else None)


class EmotionTask:
    """Learn the targets of prepared faces, augmented anew in each epoch."""

    best_by: BestBy = "score"

    def __init__(
        self, config: RunConfig, seen: Prepared, unseen: Prepared, balance: Balance, objective: Objective
    ) -> None:
        self._config = config
        self._seen = seen
        self._unseen = unseen
        self._balance = balance
        self._objective = objective
        self.steps = math.ceil(len(seen) / config.fit.batch_size)
        self.validation_steps = math.ceil(len(unseen) / config.fit.batch_size)
        self.device = seen.faces.device

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds that count as cost: of the processor, or on a GPU, where it waits, of the wall clock."""
        return time.process_time if self.device.type == "cpu" else time.monotonic

    def start_epoch(self, network: nn.Module) -> None:
        """Set training mode."""
        network.train()

    def batches(self, epoch: int) -> Iterator[Mixture]:  # noqa: ARG002 - torch's generator is seeded for it
        """Draw each face once, or by its chance, and augment it."""
        config = self._config
        for rows in self._balance.draw_rows().split(config.fit.batch_size):  # type: ignore[no-untyped-call]
            faces = augment(
                self._seen.faces[rows],
                config.augmentation,
                full_scale=1 / config.preprocessing.std,
                strengths=self._balance.strengths[rows],
            )
            yield mix_up(faces, rows, config.augmentation.mixup)

    def loss(self, network: nn.Module, batch: Mixture) -> Loss:
        """Compute the mean loss of a batch's faces."""
        with autocast(batch.faces.device, self._config.fit.precision):
            logits, _ = network(batch.faces.contiguous(memory_format=torch.channels_last))
        loss = self._objective(logits.float(), batch)
        return Loss(loss, {"train_loss": loss}, weight=len(batch.rows))

    def validate(self, network: nn.Module) -> Validation:
        """Measure on the validation faces."""
        loss, accuracy = validate(network, self._unseen, self._config.fit)
        accuracy_name = f"validation_{self._config.fit.best_by}"
        figures = {"validation_loss": round(loss, 5), accuracy_name: round(accuracy, 5)}
        return Validation(loss, accuracy, figures)

    def speed(self, seconds: float) -> Row:
        """Return the faces a second."""
        return {"faces_per_second": round(len(self._seen) / seconds, 1)}


def validate(network: nn.Module, split: Prepared, fit: FitConfig) -> tuple[float, float]:
    """Return the mean cross-entropy, and the accuracy against the majority that `best_by` names."""
    network.eval()
    with torch.no_grad(), autocast(split.faces.device, fit.precision):
        logits = torch.cat([network(part)[0].float() for part in split.faces.split(CHUNK)])  # type: ignore[no-untyped-call]
    loss = float(F.cross_entropy(logits, split.targets))
    is_right = (logits.argmax(dim=1) == split.majority).float()
    if fit.best_by == "accuracy":
        return loss, float(is_right.mean())
    labels = split.majority.unique()  # type: ignore[no-untyped-call]
    recalls = [is_right[split.majority == label].mean() for label in labels]
    return loss, float(torch.stack(recalls).mean())


def _build_first_network(config: RunConfig, classes: int, folder: Path) -> nn.Module:
    is_resumed = (folder / run_folder.CHECKPOINT).exists()
    build = build_network if is_resumed or config.start_from else build_initial
    network = build(config.architecture, classes)
    if config.start_from and (config.pruning or not is_resumed):  # what is pruned follows from these weights
        is_narrowed = config.pruning is not None and config.pruning.channels
        start_from(network, Path(config.start_from), folder, is_narrowed=is_narrowed)
    return network

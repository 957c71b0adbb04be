"""All that a run needs to resume exactly: networks, optimizer, schedule, history."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from training.config import FitConfig
from training.learning import run_folder
from training.learning.ema import AverageWeights
from training.learning.pruning import apply_masks

Row = dict[str, float]
"""The figures of one epoch."""


BestBy = Literal["score", "loss", "last"]
"""Keep the epoch with the highest validation score, with the lowest validation loss, or the last one."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The quality of an epoch's averaged weights on held-out data.

    Attributes:
        loss: what the plateau schedule watches.
        score: the higher the better.
        figures: what is reported.
    """

    loss: float
    score: float
    figures: Row


@dataclass
class Progress:
    """How far a run is, and what early stopping and the plateau schedule remember."""

    epoch: int = 0
    best_accuracy: float = -1.0
    best_epoch: int = 0
    lr: float = 0.0
    lowest_loss: float = float("inf")
    epochs_without_gain: int = 0

    def has_stalled(self, fitting: FitConfig) -> bool:
        """Return whether early stopping should end the run."""
        return self.epoch - self.best_epoch >= fitting.early_stopping_patience

    def note_best(self, validation: Validation, best_by: BestBy) -> bool:
        """Remember the last epoch as the best one if it is; return whether it is."""
        if best_by == "score":
            is_best = validation.score > self.best_accuracy
            self.best_accuracy = max(self.best_accuracy, validation.score)
        elif is_best := best_by == "last" or validation.loss < self.lowest_loss:
            self.lowest_loss = validation.loss
        if is_best:
            self.best_epoch = self.epoch
        return is_best

    def note_loss(self, loss: float, fitting: FitConfig) -> None:
        """Lower the learning rate when the validation loss has stopped falling."""
        if loss < self.lowest_loss * (1 - fitting.plateau.min_gain):
            self.lowest_loss, self.epochs_without_gain = loss, 0
            return
        self.epochs_without_gain += 1
        if self.epochs_without_gain > fitting.plateau.patience:
            self.lr = max(self.lr * fitting.plateau.factor, fitting.plateau.min_lr)
            self.epochs_without_gain = 0


class State:
    """The moving parts of a run; `save` and `load` keep them in the run's checkpoint."""

    def __init__(
        self, network: nn.Module, fitting: FitConfig, masks: dict[str, Tensor] | None = None
    ) -> None:
        """Start from a network; the weights that `masks` name stay zero where the mask is."""
        self.network = network
        self.fit = fitting
        self.masks = masks or {}
        apply_masks(network, self.masks)
        self.average = AverageWeights(network, fitting.average_decay)
        self.optimizer = make_optimizer(network, fitting)
        self.scaler = torch.amp.GradScaler("cuda", enabled=fitting.precision == "float16")
        self.progress = Progress(lr=fitting.lr)
        self.history: list[Row] = []

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def step(self, loss: Tensor) -> None:
        """Lower a loss by one step of the optimizer, and let the average follow."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        apply_masks(self.network, self.masks)
        self.average.update(self.network)

    def save(self, folder: Path) -> None:
        """Write `checkpoint.pt` and `metrics.csv`."""
        run_folder.write_metrics(folder, self.history)
        run_folder.save_state(
            folder / run_folder.CHECKPOINT,
            {
                "network": self.network.state_dict(),
                "average": self.average.network.state_dict(),
                "average_steps": self.average.steps,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "progress": asdict(self.progress),
                "history": self.history,
            },
        )

    def load(self, folder: Path) -> None:
        """Load what `save` wrote, if anything."""
        if not (folder / run_folder.CHECKPOINT).exists():
            return
        state = run_folder.load_state(folder / run_folder.CHECKPOINT)
        self.network.load_state_dict(cast("dict[str, Tensor]", state["network"]))
        self.average.network.load_state_dict(cast("dict[str, Tensor]", state["average"]))
        self.average.steps = cast("int", state["average_steps"])
        self.optimizer.load_state_dict(cast("dict[str, object]", state["optimizer"]))
        self.scaler.load_state_dict(cast("dict[str, object]", state.get("scaler", {})))
        for name, value in cast("Row", state["progress"]).items():
            setattr(self.progress, name, value)
        self.history = cast("list[Row]", state["history"])


def make_optimizer(network: nn.Module, fitting: FitConfig) -> torch.optim.Optimizer:
    """Build the optimizer that the config names; weight decay spares biases and normalisation."""
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, object]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    if fitting.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=fitting.lr, momentum=0.9, nesterov=True, weight_decay=fitting.weight_decay
        )
    return torch.optim.AdamW(groups, lr=fitting.lr, weight_decay=fitting.weight_decay, fused=True)

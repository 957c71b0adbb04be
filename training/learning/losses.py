"""Training losses of a batch of logits, one a face."""

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from training.config import RunConfig
from training.learning.augmentation import Mixture
from training.learning.class_balance import Balance
from training.learning.distillation import Teacher


class Objective:
    """The loss that training minimises, for all faces of a run: blended faces count for both labels.

    With a teacher, its answers count by the config's weight, and the labels by what is left.
    """

    def __init__(
        self, config: RunConfig, balance: Balance, targets: Tensor, teacher: Teacher | None = None
    ) -> None:
        self._loss = TargetLoss(config, balance)
        self._targets = targets
        self._teacher = teacher
        self._weight = config.distillation.weight if config.distillation else 0.0

    def __call__(self, logits: Tensor, batch: Mixture) -> Tensor:
        """Map the logits of a batch, float32 [n, K], to their mean loss."""
        loss = batch.weigh(lambda rows: self._loss(logits, self._targets[rows])).mean()
        if self._teacher is None:
            return loss
        return (1 - self._weight) * loss + self._weight * self._teacher.loss(logits, batch)


class TargetLoss:
    """The loss against the labels, as configured in `fit` and `balancing`.

    With logit adjustment the logits are shifted by the labels' log shares in the loss only, so that the bare
    logits answer as if all emotions were equally common (Menon et al., ICLR 2021).
    """

    def __init__(self, config: RunConfig, balance: Balance) -> None:
        self._takes_best = config.fit.loss == "best_admissible"
        self._smoothing = config.fit.label_smoothing
        self._weights = balance.weights if config.balancing.loss_exponent else None
        tau = config.balancing.logit_adjustment
        self._shift = tau * balance.shares.log() if tau else None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Map logits and targets, float32 [n, K], to losses float32 [n]."""
        if self._shift is not None:
            logits = logits + self._shift.to(logits.device)
        weights = None if self._weights is None else self._weights.to(logits.device)
        if self._takes_best:
            return best_admissible(logits, targets, weights)
        return F.cross_entropy(
            logits, targets, weight=weights, label_smoothing=self._smoothing, reduction="none"
        )


def best_admissible(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute the loss of the top label among those with a target: any of them is a right answer.

    The multi-label loss of FER+ (Barsoum et al., ICMI 2016).

    Args:
        logits: float32 [n, K].
        targets: float32 [n, K], above 0 where a label is admissible; at least one a row.
        weights: float32 [K], by which the loss of each label is multiplied.

    Returns:
        float32 [n].
    """
    top = F.log_softmax(logits, dim=1).masked_fill(targets <= 0, -torch.inf).max(dim=1)
    return -top.values if weights is None else -top.values * weights[top.indices]

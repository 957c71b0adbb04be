"""Balance rare emotions by weights, by sampling, by stronger augmentation.

All randomness comes from torch's global generator, which the training loop seeds.
"""

import torch
from torch import Tensor

from training.config import BalancingConfig
from training.errors import TrainingError


def find_logit_shift(votes: Tensor, tau: float) -> Tensor:
    """Compute what makes a trained network's answers fairer to rare labels when added to its logits.

    That is -tau times the log share of each label (post-hoc logit adjustment, Menon et al., ICLR 2021).

    Args:
        votes: float32 [n, K], of the training faces.
        tau: 0 changes nothing.

    Returns:
        float32 [K].
    """
    shares = (votes / votes.sum(dim=1, keepdim=True)).mean(dim=0)
    return -tau * shares.clamp(min=1e-12).log()


class Balance:
    """Weights, chances and strengths of a run's training faces.

    Attributes:
        shares: float32 [K], how much of each label an epoch shows, sum 1.
        weights: float32 [K], of each label in the loss; 1 in the mean over an epoch.
        strengths: float32 [n], factor of each face's augmentation, from 1 (commonest label) to
            `rare_strength` (rarest).
    """

    def __init__(self, targets: Tensor, config: BalancingConfig) -> None:
        """Count labels in targets, float32 [n, K], rows of sum 1.

        Raises:
            TrainingError: something is to be balanced, and no face shows one of the labels.
        """
        self._exponent = config.sampling_exponent
        label = targets.argmax(dim=1)
        counts = torch.bincount(label, minlength=targets.shape[1]).to(torch.float32)
        if config != BalancingConfig() and not bool((counts > 0).all()):
            empty = torch.nonzero(counts == 0).flatten().tolist()
            raise TrainingError(f"balancing needs a training face of each label, there is none of {empty}")
        self._chances = counts.clamp(min=1)[label] ** -config.sampling_exponent
        self.shares = (self._chances[:, None] * targets).sum(dim=0) / self._chances.sum()
        self.weights = self.shares.clamp(min=1e-12) ** -config.loss_exponent
        self.weights = self.weights / (self.weights * self.shares).sum()
        rarity = 1 - (counts - counts.min()) / (counts.max() - counts.min()).clamp(min=1)
        self.strengths = (1 + (config.rare_strength - 1) * rarity)[label]

    def draw_rows(self) -> Tensor:
        """Draw an epoch's faces in their order, int64 [n]: each once, or by their chances with repeats."""
        if self._exponent == 0:
            return torch.randperm(len(self._chances))
        return torch.multinomial(self._chances, len(self._chances), replacement=True)

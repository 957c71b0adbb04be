"""A moving average of a network's weights over training steps.

The average generalises better than the last step (Polyak and Juditsky, 1992).
"""

import copy

import torch
from torch import nn


class AverageWeights:
    """Keeps `network`, a copy whose weights and statistics trail those of the trained one."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move one step towards `network`; early steps count more, to forget the initial weights."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        trained = network.state_dict()
        for name, kept in self.network.state_dict().items():
            if kept.dtype.is_floating_point:
                kept.lerp_(trained[name], 1 - decay)
            else:
                kept.copy_(trained[name])

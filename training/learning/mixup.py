"""Mixup (Zhang et al., ICLR 2018): each face of a batch blended with another one of it.

Knows no loss. All randomness comes from torch's global generator, which the training loop seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mixture:
    """A batch as the network sees it, and whose labels it is judged by.

    Attributes:
        faces: float32 [n, c, s, s].
        rows: int64 [n], the training faces that are in the blends.
        partners: int64 [n], those that are blended in; None where nothing is.
        share: float32 [n], how much of a blend is of `rows`.
    """

    faces: Tensor
    rows: Tensor
    partners: Tensor | None
    share: Tensor

    def weigh(self, losses: Callable[[Tensor], Tensor]) -> Tensor:
        """Blend the losses [n] that `losses` gives against the labels of some rows."""
        if self.partners is None:
            return losses(self.rows)
        return self.share * losses(self.rows) + (1 - self.share) * losses(self.partners)


def mix_up(faces: Tensor, rows: Tensor, alpha: float) -> Mixture:
    """Blend faces float32 [n, c, s, s] among themselves, by shares of Beta(alpha, alpha); 0: not at all."""
    share = torch.ones(len(faces))
    if alpha == 0:
        return Mixture(faces, rows, None, share)
    share = torch.distributions.Beta(alpha, alpha).sample((len(faces),))
    order = torch.randperm(len(faces))
    part = share.to(faces.device)
    blend = part[:, None, None, None] * faces
    blend += (1 - part[:, None, None, None]) * faces[order.to(faces.device)]
    return Mixture(blend, rows, rows[order], part)

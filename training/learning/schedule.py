"""The learning rate within a run; its fall at plateaus is `Progress.note_loss`."""

import math

from training.config import FitConfig


def cosine(fit: FitConfig, epoch: float) -> float:
    """Return the factor at a point of the run, 1 to 0 (Loshchilov and Hutter, 2017); 1 without a cosine."""
    return 0.5 * (1 + math.cos(math.pi * epoch / fit.epochs)) if fit.schedule == "cosine" else 1.0


def warmup(fit: FitConfig, step: int, steps: int) -> float:
    """Return the factor of a step of the whole run: linear from 0.1 to 1 over `warmup_epochs` of `steps`."""
    warmup_steps = fit.warmup_epochs * steps
    return min(1.0, 0.1 + 0.9 * step / warmup_steps) if warmup_steps else 1.0

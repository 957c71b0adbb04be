"""Where a run computes, and in which precision.

Not tried on CUDA yet: no such device was at hand.
"""

import torch

from training.config import FitConfig
from training.errors import TrainingError

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def choose_device(fitting: FitConfig) -> torch.device:
    """Return the device that the config names; `auto` is CUDA where there is one.

    Raises:
        TrainingError: it is not there, or the precision is not for it.
    """
    has_cuda = torch.cuda.is_available()
    if fitting.device == "cuda" and not has_cuda:
        raise TrainingError("fit.device is cuda, but torch finds no such device here")
    device = torch.device("cuda" if has_cuda and fitting.device != "cpu" else "cpu")
    if fitting.precision == "float16" and device.type == "cpu":
        raise TrainingError("fit.precision float16 is for CUDA: on the CPU take bfloat16 or float32")
    return device


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a network computes in the precision."""
    return torch.autocast(device.type, dtype=_DTYPES[precision], enabled=precision != "float32")

"""Turn logits into calibrated probabilities, by one function for what is fitted and for what is served."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Shares: TypeAlias = Sequence[float] | npt.NDArray[np.float64]
"""Of K labels, in the order of a model."""


def softmax(
    logits: npt.NDArray[np.float32] | npt.NDArray[np.float64],
    temperature: float = 1.0,
    log_weights: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Return the softmax of logits that are divided by a temperature (Guo et al., 2017, arXiv:1706.04599).

    Args:
        logits: float32 or float64 [n, K], finite; computed in float64.
        temperature: above 0; that of the model's card, or 1 for a model that is not calibrated.
        log_weights: float64 [K] or [n, K] of `compute_log_weights`, added after the division: the calibrated
            probabilities are multiplied by the weights and normalised again. None changes nothing.

    Returns:
        float64 [n, K], in [0, 1], rows of sum 1.
    """
    scaled = logits.astype(np.float64) / temperature
    if log_weights is not None:
        scaled = scaled + log_weights
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def compute_log_weights(training_shares: Shares, expected_shares: Shares) -> npt.NDArray[np.float64]:
    """Return what corrects calibrated probabilities for another mix of labels.

    Where only the shares of the labels change, and faces of one label look as before, the probability of a
    label is proportional to p * expected / training (Saerens, Latinne and Decaestecker, "Adjusting the
    outputs of a classifier to new a priori probabilities", Neural Computation 14, 2002, equation 2.4).

    Args:
        training_shares: of the K labels among the faces that p is calibrated for, each above 0.
        expected_shares: of the same labels, at least one above 0.

    Returns:
        log(expected / training), float64 [K]; -inf for a label that is not expected at all.
    """
    expected = np.asarray(expected_shares, np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(expected) - np.log(np.asarray(training_shares, np.float64)))

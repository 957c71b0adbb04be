"""Fit what makes probabilities calibrated: a temperature with its mix of labels, and the uncertain bound.

All are fitted on the validation split, never on the test split.
"""

import numpy as np
import numpy.typing as npt

from fercore.contracts.emotions import Emotion
from fercore.inference.calibration import softmax

LOWEST, HIGHEST = 0.1, 10.0
WANTED_PRECISION = 0.95
FEWEST_ANSWERS = 50
"""Fewer answers than this are too few for a share of right ones."""


def fit_temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Find the temperature with the least negative log-likelihood (Guo et al., 2017).

    The likelihood has one peak in the temperature, so its logarithm is searched by golden section.

    Args:
        logits: float32 [n, K].
        labels: int64 [n], index of the true class.
    """

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())

    low, high = float(np.log(LOWEST)), float(np.log(HIGHEST))
    ratio = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return round(float(np.exp((low + high) / 2)), 4)


def count_shares(labels: npt.NDArray[np.int64], emotions: tuple[Emotion, ...]) -> dict[Emotion, float] | None:
    """Return the share of each emotion among the labels that the temperature is fitted on, for a card.

    Probabilities are calibrated for this mix, whatever mix the network learnt from.

    Args:
        labels: int64 [n], index of the true class.
        emotions: the K.

    Returns:
        Shares rounded to 6 digits; None where an emotion never occurs: nothing can be divided by 0.
    """
    counts = np.bincount(labels, minlength=len(emotions))
    if not counts.all():
        return None
    shares = (counts / len(labels)).tolist()
    return {emotion: round(share, 6) for emotion, share in zip(emotions, shares, strict=True)}


def find_uncertain_bound(
    probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> tuple[float, float, float]:
    """Find the lowest bound such that answers at or above it are right often enough.

    Args:
        probabilities: [n, K], calibrated.
        labels: int64 [n].

    Returns:
        The bound on the top probability, the share of right answers above it, and the share of faces
        above it. Where 95 % is not reached, the bound with the highest share of right answers.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    is_right = (probabilities.argmax(axis=1) == labels)[order]
    precision = np.cumsum(is_right) / np.arange(1, len(labels) + 1)
    first = min(FEWEST_ANSWERS, len(labels)) - 1
    enough = np.flatnonzero(precision[first:] >= WANTED_PRECISION) + first
    last = int(enough[-1]) if len(enough) else first + int(precision[first:].argmax())
    bound = float(np.floor(confidence[order[last]] * 1e4) / 1e4)
    is_above = confidence >= bound
    right_above = float((probabilities.argmax(axis=1) == labels)[is_above].mean())
    return bound, right_above, float(is_above.mean())

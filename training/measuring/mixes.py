"""Measure calibration under other mixes of labels: faces are drawn again as often as each mix has them.

Knows no data set and no model, only logits, labels and what turns logits into probabilities.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.errors import TrainingError
from training.measuring.graphs import Logits
from training.measuring.metrics import BINS, Labels, Probabilities, compute_log_losses, sort_by_confidence

FIGURES = (
    "accuracy",
    "expected_calibration_error",
    "classwise_calibration_error",
    "negative_log_likelihood",
)

Figure = tuple[float, float, float]
"""Mean over the resamples, and the ends of the interval that holds 95 % of them."""


@dataclass(frozen=True, slots=True)
class Shifted:
    """What came of one mix, by figure of `FIGURES`.

    Attributes:
        before: as trained.
        after: corrected for the mix.
    """

    before: Mapping[str, Figure]
    after: Mapping[str, Figure]


def draw_rows(labels: Labels, shares: Mapping[str, float], generator: np.random.Generator) -> Labels:
    """Draw as many rows as there are, with replacement, each label as often as the mix has it.

    Args:
        labels: int64 [n], index in the order of `shares`.
        shares: of each label, sum 1.
        generator: draws.

    Returns:
        int64 [n], row numbers.

    Raises:
        TrainingError: a label of the mix occurs in no row.
    """
    expected = np.array(list(shares.values()))
    counts = np.bincount(labels, minlength=len(expected))
    is_missing = (expected > 0) & (counts == 0)
    if is_missing.any():
        names = ", ".join(name for name, missing in zip(shares, is_missing, strict=True) if missing)
        raise TrainingError(f"no face shows {names}: this mix cannot be drawn")
    weights = np.divide(expected, counts, out=np.zeros(len(expected)), where=counts > 0)[labels]
    return generator.choice(len(labels), len(labels), p=weights / weights.sum())


def measure_shift(
    logits: Logits,
    labels: Labels,
    shares: Mapping[str, float],
    judge: Callable[[Logits, bool], Probabilities],
    *,
    resamples: int,
    seed: int,
) -> Shifted:
    """Measure a model on faces that are mixed so, without and with the correction.

    Args:
        logits: float32 [n, K].
        labels: int64 [n].
        shares: the mix, in the order of the K.
        judge: turns logits into probabilities; True: corrected for the mix.
        resamples: how often rows are drawn, at least 1.
        seed: of the draws; both sides see the same rows.

    Raises:
        TrainingError: a label of the mix occurs in no row.
    """
    generator = np.random.default_rng(seed)
    answers = [judge(logits, False), judge(logits, True)]
    found = np.array(
        [
            [_compute_figures(probabilities[rows], labels[rows]) for probabilities in answers]
            for rows in (draw_rows(labels, shares, generator) for _ in range(resamples))
        ]
    )
    before, after = (_summarise(found[:, side]) for side in (0, 1))
    return Shifted(before, after)


def compute_classwise_error(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean over all emotions of how far their probabilities are from how often they are true.

    The expected calibration error looks at the answered emotion alone. A shift moves the probabilities of the
    others too, and there too little of one and too much of another cannot cancel (Kull et al., 2019,
    arXiv:1910.12656; 15 equal bins).

    Args:
        probabilities: [n, K], rows of sum 1.
        labels: int64 [n], n > 0.
    """
    errors = []
    for emotion, column in enumerate(probabilities.T):
        bins = np.minimum((column * BINS).astype(np.int64), BINS - 1)
        difference = np.bincount(bins, weights=column - (labels == emotion), minlength=BINS)
        errors.append(np.abs(difference).sum() / len(labels))
    return float(np.mean(errors))


def _compute_figures(probabilities: Probabilities, labels: Labels) -> tuple[float, ...]:
    return (
        float((probabilities.argmax(axis=1) == labels).mean()),
        sort_by_confidence(probabilities, labels).error(),
        compute_classwise_error(probabilities, labels),
        float(compute_log_losses(probabilities, labels).mean()),
    )


def _summarise(found: Probabilities) -> dict[str, Figure]:
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    values = zip(found.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return dict(zip(FIGURES, values, strict=True))

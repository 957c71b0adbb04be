"""Which differences of accuracy are more than chance: paired tests, corrected for their number."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FLIPS = 20_000
CHUNK = 500
SEED = 0
LEVEL = 0.05


def paired_p_values(correct: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return the two-sided p-value of each pair's difference of accuracy, [m, m], 1 on the diagonal.

    A sign-flip permutation test: if two models were equally good, each face's difference would be as likely
    to have the other sign. With one run of each it tests what McNemar's test does.

    Args:
        correct: of each of m models, how often it answered each of the same n faces right, float64 [n] in
            [0, 1]: the mean of its runs.
    """
    every = np.stack(correct)
    first, second = np.triu_indices(len(every), 1)
    differences = (every[first] - every[second]).T
    observed = np.abs(differences.sum(axis=0)) - 1e-9
    random = np.random.default_rng(SEED)
    reached = np.zeros(len(first))
    for start in range(0, FLIPS, CHUNK):
        count = min(CHUNK, FLIPS - start)
        signs = random.integers(0, 2, (count, len(differences))) * 2.0 - 1
        reached += (np.abs(signs @ differences) >= observed).sum(axis=0)
    values = np.ones((len(every), len(every)))
    values[first, second] = values[second, first] = (reached + 1) / (FLIPS + 1)
    return values


def holm(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return p-values [m, m] of all pairs corrected for their number (Holm, 1979)."""
    first, second = np.triu_indices(len(values), 1)
    pairs = values[first, second]
    order = np.argsort(pairs)
    corrected = np.maximum.accumulate(pairs[order] * np.arange(len(pairs), 0, -1)).clip(max=1.0)
    adjusted = np.ones_like(values)
    adjusted[first[order], second[order]] = adjusted[second[order], first[order]] = corrected
    return adjusted

"""Confidence intervals of figures of merit, by the bootstrap over rows (Efron, 1979).

Resamples are row weights, so that every figure is a few matrix products: a thousand calls of scikit-learn
would take minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fercore.contracts.emotions import EMOTIONS, Emotion
from training.measuring.metrics import BINS, Labels, Probabilities, assign_bins, compute_log_losses

LEVEL = 0.95
RESAMPLES = 1000
SEED = 0
CHUNK = 50
"""So many resamples at once bound the memory: 50 of 3,153 rows and 8 emotions take 10 MB an array."""

Interval = tuple[float, float]
Intervals = dict[str, Interval | dict[str, Interval | None] | None]
Weights = npt.NDArray[np.float64]
"""[r, n], how often each resample holds each row."""


def bootstrap(
    probabilities: Probabilities,
    labels: Labels,
    emotions: tuple[Emotion, ...] = EMOTIONS,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Intervals:
    """Return the 95 % interval of each figure of `measure`, under the same names.

    Percentiles of the resampled figures. Those of the calibration error are corrected for the bootstrap's own
    bias: bins of a resample are noisier than the sample's, so the plain interval misses the figure.

    Returns:
        Pairs (low, high), by emotion where the figure is; None where no resample has the figure.
    """
    judge = _Resampled(probabilities, labels)
    parts = [judge.compute(weights) for weights in _draw(len(labels), resamples, seed)]
    found: Intervals = {}
    for name in parts[0]:
        values = np.concatenate([part[name] for part in parts])
        if values.ndim == 2:
            columns = zip(emotions, values.T, strict=True)
            found[name] = {emotion.value: _find_interval(column) for emotion, column in columns}
        else:
            found[name] = _find_interval(values)
    whole = judge.compute(np.ones((1, len(labels))))["expected_calibration_error"][0]
    errors = np.concatenate([part["expected_calibration_error"] for part in parts])
    found["expected_calibration_error"] = _find_interval(np.maximum(errors - errors.mean() + whole, 0.0))
    return found


def bootstrap_share(
    is_so: npt.NDArray[np.bool_], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Interval:
    """Return the 95 % interval of the share of rows of which something is so: bool [n], n > 0."""
    shares = [weights @ is_so / len(is_so) for weights in _draw(len(is_so), resamples, seed)]
    return _find_percentiles(np.concatenate(shares))


def _draw(rows: int, resamples: int, seed: int) -> Iterator[Weights]:
    random = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        count = min(CHUNK, resamples - start)
        drawn = random.integers(0, rows, (count, rows)) + np.arange(count)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)


def _find_interval(values: npt.NDArray[np.float64]) -> Interval | None:
    known = values[np.isfinite(values)]
    return _find_percentiles(known) if len(known) else None


def _find_percentiles(values: npt.NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


class _Resampled:
    """The figures of many resamples at once; not a number where a resample does not define one."""

    def __init__(self, probabilities: Probabilities, labels: Labels) -> None:
        rows, self._count = probabilities.shape
        answers = probabilities.argmax(axis=1)
        gaps = (answers == labels) - probabilities.max(axis=1)
        self._cell = np.eye(self._count**2)[labels * self._count + answers]
        self._gap = np.eye(BINS)[assign_bins(probabilities)] * gaps[:, None]
        self._losses = compute_log_losses(probabilities, labels)
        is_true = labels[:, None] == np.arange(self._count)
        each = np.arange(rows)
        self._by_emotion = [_Ranked.of(probabilities[:, k], is_true[:, k], each) for k in range(self._count)]
        self._micro = _Ranked.of(probabilities.ravel(), is_true.ravel(), each.repeat(self._count))

    def compute(self, weights: Weights) -> dict[str, npt.NDArray[np.float64]]:
        """Return figures [r] or, by emotion, [r, K]."""
        total = weights.sum(axis=1)
        confusion = (weights @ self._cell).reshape(-1, self._count, self._count)
        right = np.diagonal(confusion, axis1=1, axis2=2)
        true, answered = confusion.sum(axis=2), confusion.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall, precision, f1 = right / true, right / answered, 2 * right / (true + answered)
        areas = np.stack([ranked.compute_areas(weights) for ranked in self._by_emotion], axis=1)
        return {
            "accuracy": right.sum(axis=1) / total,
            "balanced_accuracy": _mean_where(true > 0, recall),
            "macro_f1": _mean_where(true > 0, f1),
            "recall": recall,
            "precision": precision,
            "f1": f1,
            "roc_auc": areas,
            "roc_auc_macro": _mean_where(np.isfinite(areas), areas),
            "roc_auc_micro": self._micro.compute_areas(weights),
            "expected_calibration_error": np.abs(weights @ self._gap).sum(axis=1) / total,
            "negative_log_likelihood": weights @ self._losses / total,
        }


def _mean_where(counts: npt.NDArray[np.bool_], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(counts, values, 0.0).sum(axis=1) / counts.sum(axis=1))


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Scores in rising order, once sorted, for the area under the ROC curve of any weights.

    Attributes:
        rows: the row that each score belongs to.
        is_true: whether each score is of a true pair.
        starts: where each group of equal scores begins.
    """

    rows: npt.NDArray[np.int64]
    is_true: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, scores: npt.NDArray[np.float64], is_true: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64]
    ) -> "_Ranked":
        order = np.argsort(scores, kind="stable")
        starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
        return cls(rows[order], is_true[order], starts)

    def compute_areas(self, weights: Weights) -> npt.NDArray[np.float64]:
        """Return the share of pairs of a true and a false score in right order, ties half: [r]."""
        ordered = weights[:, self.rows]
        true = np.add.reduceat(ordered * self.is_true, self.starts, axis=1)
        false = np.add.reduceat(ordered, self.starts, axis=1) - true
        below = np.cumsum(false, axis=1) - false / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((true * below).sum(axis=1) / (true.sum(axis=1) * false.sum(axis=1)))

"""Figures of merit of a classifier's probabilities."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from fercore.contracts.emotions import EMOTIONS, Emotion

BINS = 15

Probabilities = npt.NDArray[np.float64]
"""[n, K], rows of sum 1."""

Labels = npt.NDArray[np.int64]
"""[n], index of the true emotion among the K."""

ByEmotion = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Measures:
    """How well probabilities fit labels.

    Means over emotions are over those that occur; a figure by emotion is None where it is not defined.

    Attributes:
        rows: how many faces.
        accuracy: share of right answers.
        balanced_accuracy: mean recall.
        macro_f1: mean F1.
        recall: by emotion; None where it does not occur.
        precision: by emotion; None where it is never answered.
        f1: by emotion; None where it neither occurs nor is answered.
        roc_auc: by emotion, one against the rest; None where all rows or none are of it.
        roc_auc_macro: mean area.
        roc_auc_micro: area over all pairs of row and emotion.
        expected_calibration_error: mean distance of confidence and accuracy over 15 equal bins
            (Guo et al., "On Calibration of Modern Neural Networks", 2017).
        negative_log_likelihood: mean, in nats.
        confusion: counts, rows are true and columns predicted emotions, in label order.
    """

    rows: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    recall: ByEmotion
    precision: ByEmotion
    f1: ByEmotion
    roc_auc: ByEmotion
    roc_auc_macro: float | None
    roc_auc_micro: float | None
    expected_calibration_error: float
    negative_log_likelihood: float
    confusion: list[list[int]]

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CalibrationBins:
    """Faces by the confidence of their answer, in 15 equal bins.

    Attributes:
        rows: how many are in each.
        confidence: sum of their top probabilities.
        right: how many answers are right.
    """

    rows: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]

    def error(self) -> float:
        """Return the expected calibration error."""
        return float(np.abs(self.right - self.confidence).sum() / self.rows.sum())


def measure(
    probabilities: Probabilities, labels: Labels, emotions: tuple[Emotion, ...] = EMOTIONS
) -> Measures:
    """Compare probabilities [n, K] of these K emotions with the index of the true one [n], n > 0."""
    answers = probabilities.argmax(axis=1)
    every = np.arange(len(emotions))
    precision, recall, f1, occurring = precision_recall_fscore_support(
        labels, answers, labels=every, average=None, zero_division=np.nan
    )
    occurs = occurring > 0
    is_true = labels[:, None] == every
    areas = [_compute_area(is_true[:, index], probabilities[:, index]) for index in every]
    known_areas = [area for area in areas if area is not None]
    return Measures(
        rows=len(labels),
        accuracy=float((answers == labels).mean()),
        balanced_accuracy=float(recall[occurs].mean()),
        macro_f1=float(f1[occurs].mean()),
        recall=_by_emotion(emotions, recall),
        precision=_by_emotion(emotions, precision),
        f1=_by_emotion(emotions, f1),
        roc_auc=dict(zip((emotion.value for emotion in emotions), areas, strict=True)),
        roc_auc_macro=float(np.mean(known_areas)) if known_areas else None,
        roc_auc_micro=_compute_area(is_true.ravel(), probabilities.ravel()),
        expected_calibration_error=sort_by_confidence(probabilities, labels).error(),
        negative_log_likelihood=float(compute_log_losses(probabilities, labels).mean()),
        confusion=confusion_matrix(labels, answers, labels=every).tolist(),
    )


def compute_log_losses(probabilities: Probabilities, labels: Labels) -> npt.NDArray[np.float64]:
    """Return the negative log-likelihood of each row in nats, [n]; probabilities may be rounded to 0."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)))


def sort_by_confidence(probabilities: Probabilities, labels: Labels) -> CalibrationBins:
    """Sort rows into bins by the confidence of their answer."""
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    bins = assign_bins(probabilities)
    return CalibrationBins(
        rows=np.bincount(bins, minlength=BINS).astype(np.float64),
        confidence=np.bincount(bins, weights=confidence, minlength=BINS).astype(np.float64),
        right=np.bincount(bins, weights=is_right, minlength=BINS).astype(np.float64),
    )


def assign_bins(probabilities: Probabilities) -> Labels:
    """Return the bin of each row's top probability, int64 [n]."""
    return np.asarray(np.minimum(probabilities.max(axis=1) * BINS, BINS - 1), np.int64)


def _compute_area(is_true: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> float | None:
    return float(roc_auc_score(is_true, scores)) if is_true.any() and not is_true.all() else None


def _by_emotion(emotions: tuple[Emotion, ...], values: Iterable[float]) -> ByEmotion:
    return {
        emotion.value: None if np.isnan(value) else float(value)
        for emotion, value in zip(emotions, values, strict=True)
    }

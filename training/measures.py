"""Figures of merit of a classifier's probabilities.

Knows numpy only: no model, no data set.
"""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from fercore.contracts.emotions import EMOTIONS

BINS = 15


@dataclass(frozen=True, slots=True)
class Measures:
    """How well probabilities fit labels.

    Attributes:
        rows: how many faces.
        accuracy: share of right answers.
        balanced_accuracy: mean recall over the emotions that occur.
        recall: by emotion; None where it does not occur.
        expected_calibration_error: mean distance of confidence and accuracy over 15 equal bins
            (Guo et al., "On Calibration of Modern Neural Networks", 2017).
        negative_log_likelihood: mean, in nats.
        confusion: counts, rows are the true and columns the answered emotion, canonical order.
    """

    rows: int
    accuracy: float
    balanced_accuracy: float
    recall: dict[str, float | None]
    expected_calibration_error: float
    negative_log_likelihood: float
    confusion: list[list[int]]

    def as_dict(self) -> dict[str, object]:
        """Give plain values for JSON."""
        return asdict(self)


def softmax(logits: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float64]:
    """Turn logits [n, K] into probabilities [n, K] after dividing by the temperature."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def measure(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> Measures:
    """Compare probabilities [n, 8] with the index of the true emotion [n], n > 0."""
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    occurring = confusion.sum(axis=1)
    recalls = [float(confusion[i, i] / occurring[i]) if occurring[i] else None for i in range(len(EMOTIONS))]
    true_probability = probabilities[np.arange(len(labels)), labels]
    return Measures(
        rows=len(labels),
        accuracy=float((answers == labels).mean()),
        balanced_accuracy=float(np.mean([recall for recall in recalls if recall is not None])),
        recall={emotion.value: recall for emotion, recall in zip(EMOTIONS, recalls, strict=True)},
        expected_calibration_error=_calibration_error(probabilities.max(axis=1), answers == labels),
        negative_log_likelihood=float(-np.log(np.maximum(true_probability, 1e-12)).mean()),
        confusion=confusion.tolist(),
    )


def _calibration_error(confidence: npt.NDArray[np.float64], is_right: npt.NDArray[np.bool_]) -> float:
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=is_right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))

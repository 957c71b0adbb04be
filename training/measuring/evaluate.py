"""Measure answers on a split: all its rows, and those without copies in other splits or uncertain labels.

The answers may come from torch, from a graph or from a cluster.
"""

from dataclasses import dataclass

import numpy as np

from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.inference.calibration import softmax
from training.data.faces import NO_MAJORITY, Faces
from training.errors import TrainingError
from training.measuring.bootstrap import RESAMPLES, SEED, Intervals, bootstrap
from training.measuring.graphs import Logits
from training.measuring.metrics import Labels, Measures, Probabilities, measure

SUBSETS = ("all", "without_copies", "without_uncertain", "without_either")


@dataclass(frozen=True, slots=True)
class Examined:
    """Answers with their figures of merit.

    Attributes:
        emotions: the K that probabilities and labels count in.
        probabilities: what was answered.
        labels: what is true.
        measures: the figures.
        intervals: by the same names; None if nothing was resampled.
    """

    emotions: tuple[Emotion, ...]
    probabilities: Probabilities
    labels: Labels
    measures: Measures
    intervals: Intervals | None

    def as_dict(self) -> dict[str, object]:
        """Return the figures as plain values for JSON."""
        intervals = {} if self.intervals is None else {"intervals": self.intervals}
        return self.measures.as_dict() | intervals


def evaluate(
    faces: Faces, logits: Logits, temperature: float, emotions: tuple[Emotion, ...] = EMOTIONS
) -> dict[str, Measures]:
    """Measure by subset of a split, without intervals.

    Args:
        faces: rows with a majority.
        logits: float32 [n, K], of the same rows.
        temperature: divides the logits.
        emotions: the K.

    Returns:
        For `all` rows; for those without a pixel copy in another split; for those whose label surely
        belongs to the tile; and for those of both kinds. A subset without rows is left out.
    """
    probabilities = softmax(logits, temperature)
    return {
        name: measure(probabilities[rows], faces.majority[rows], emotions)
        for name, rows in _find_subsets(faces).items()
    }


def examine(
    probabilities: Probabilities,
    labels: Labels,
    emotions: tuple[Emotion, ...],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Examined:
    """Measure with intervals; none where `resamples` is 0."""
    intervals = (
        bootstrap(probabilities, labels, emotions, resamples=resamples, seed=seed) if resamples else None
    )
    return Examined(emotions, probabilities, labels, measure(probabilities, labels, emotions), intervals)


def examine_split(
    faces: Faces,
    probabilities: Probabilities,
    emotions: tuple[Emotion, ...],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Examined]:
    """Examine each subset of a split, as `evaluate` names them."""
    return {
        name: examine(probabilities[rows], faces.majority[rows], emotions, resamples=resamples, seed=seed)
        for name, rows in _find_subsets(faces).items()
    }


def select_judged(faces: Faces) -> Faces:
    """Return the rows with a majority: only these have a known right answer.

    Raises:
        TrainingError: no row is left.
    """
    judged = faces.select(faces.majority != NO_MAJORITY)
    if not len(judged):
        raise TrainingError("the split has no row with a clear label: there is nothing to measure")
    return judged


def fold(
    probabilities: Probabilities, known: tuple[Emotion, ...], wanted: tuple[Emotion, ...]
) -> Probabilities:
    """Reduce probabilities to fewer emotions than the model's, made to sum to 1.

    Args:
        probabilities: [n, K], of the known emotions.
        known: the model's.
        wanted: the data set's.

    Raises:
        TrainingError: the model does not know one that the data set has.
    """
    if missing := [emotion.value for emotion in wanted if emotion not in known]:
        raise TrainingError(
            f"the model does not know {', '.join(missing)}, which the data set has: choose another --dataset"
        )
    if known == wanted:
        return probabilities
    kept = probabilities[:, [known.index(emotion) for emotion in wanted]]
    total = kept.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, kept / np.where(total > 0, total, 1.0), 1 / len(wanted)))


def _find_subsets(faces: Faces) -> dict[str, Labels]:
    everywhere = np.ones(len(faces), np.bool_)
    masks = (everywhere, ~faces.is_copied, faces.is_certain, ~faces.is_copied & faces.is_certain)
    return {name: np.flatnonzero(mask) for name, mask in zip(SUBSETS, masks, strict=True) if mask.any()}

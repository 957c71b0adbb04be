"""The canonical emotions and their order, which stands here and nowhere else."""

from enum import StrEnum


class Emotion(StrEnum):
    """One of the eight basic expressions, in canonical order (that of FER+)."""

    NEUTRAL = "neutral"
    HAPPINESS = "happiness"
    SURPRISE = "surprise"
    SADNESS = "sadness"
    ANGER = "anger"
    DISGUST = "disgust"
    FEAR = "fear"
    CONTEMPT = "contempt"


EMOTIONS: tuple[Emotion, ...] = tuple(Emotion)

VALENCE: dict[Emotion, float] = {
    Emotion.NEUTRAL: 0.0,
    Emotion.HAPPINESS: 1.0,
    Emotion.SURPRISE: 0.0,
    Emotion.SADNESS: -1.0,
    Emotion.ANGER: -1.0,
    Emotion.DISGUST: -1.0,
    Emotion.FEAR: -1.0,
    Emotion.CONTEMPT: -0.5,
}
"""How pleasant an emotion is; a face's valence is the mean of these, weighted by its probabilities.

A plain signed weighting (pleasant, neither, unpleasant) after Russell's circumplex (1980), not a measured
one; surprise may be either and counts as neither, contempt counts half.
"""


def are_canonical(labels: tuple[Emotion, ...]) -> bool:
    """Return whether `labels` are distinct, not empty and in canonical order (some may be missing)."""
    return bool(labels) and labels == tuple(emotion for emotion in EMOTIONS if emotion in labels)

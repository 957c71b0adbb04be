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


def are_canonical(labels: tuple[Emotion, ...]) -> bool:
    """Tell whether `labels` are distinct, not empty and in canonical order (some may be missing)."""
    return bool(labels) and labels == tuple(emotion for emotion in EMOTIONS if emotion in labels)

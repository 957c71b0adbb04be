"""What people call the emotions: folder names and labels matched to the canonical ones.

Knows no files.
"""

from collections.abc import Mapping

from fercore.contracts.emotions import EMOTIONS, Emotion
from training.errors import TrainingError

SYNONYMS: dict[Emotion, tuple[str, ...]] = {
    Emotion.NEUTRAL: ("normal", "neutrality", "calm"),
    Emotion.HAPPINESS: ("happy", "happily", "joy", "smile", "smiling"),
    Emotion.SURPRISE: ("surprised", "suprise", "suprised"),
    Emotion.SADNESS: ("sad", "sorrow"),
    Emotion.ANGER: ("angry", "mad"),
    Emotion.DISGUST: ("disgusted",),
    Emotion.FEAR: ("fearful", "afraid", "scared"),
    Emotion.CONTEMPT: ("contemptuous",),
}
"""Beside each emotion's own name; two are misspellings that stand in data sets people pass on."""

EMOTION_OF = {name: emotion for emotion in EMOTIONS for name in (emotion.value, *SYNONYMS[emotion])}


def match_class(name: str, place: object, own_names: Mapping[str, Emotion] | None = None) -> Emotion:
    """Give the emotion that a class name means, whatever its case.

    Args:
        name: a folder's name or a label.
        place: where it stands, for the message.
        own_names: names of this data set alone, such as numbers; they come first.

    Raises:
        TrainingError: the name is not known; the message lists those that are.
    """
    if own_names and name in own_names:
        return own_names[name]
    found = EMOTION_OF.get(name.strip().casefold())
    if found is None:
        known = ", ".join([*(own_names or ()), *EMOTION_OF])
        raise TrainingError(f"{place}: no emotion is called {name!r}; known are {known}")
    return found


def in_canonical_order(emotions: tuple[Emotion, ...]) -> tuple[Emotion, ...]:
    """Give the same emotions in canonical order, each once."""
    return tuple(emotion for emotion in EMOTIONS if emotion in emotions)


def match_number(text: str, order: tuple[Emotion, ...], place: object, *, first: int = 0) -> Emotion:
    """Give the emotion of a data set's own number, which counts from `first` in `order`.

    Raises:
        TrainingError: it is no such number.
    """
    try:
        index = int(text) - first
    except ValueError:
        index = -1
    if not 0 <= index < len(order):
        known = ", ".join(f"{number} {emotion}" for number, emotion in enumerate(order, start=first))
        raise TrainingError(f"{place}: no emotion has the number {text.strip()!r}; known are {known}")
    return order[index]

"""What a data set's labels mean: its own numbers, or words in any case, as labels or folder names.

A set of numbers that may be another numbering is refused, not guessed.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

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
"""Besides each emotion's own name; two are misspellings found in redistributed data sets."""

EMOTION_OF = {name: emotion for emotion in EMOTIONS for name in (emotion.value, *SYNONYMS[emotion])}

NUMBER = re.compile(r"0*(\d+)(?:\.0*)?", re.ASCII)
"""A whole number, also written as a float ("3.0")."""

SHOWN = 12
"""Numbers in a message, at most."""

Label = Emotion | str
"""An emotion, or the reason why a row is left out, for counting."""


def match_class(name: str, place: object, own_names: Mapping[str, Emotion] | None = None) -> Emotion:
    """Return the emotion that a class name means, whatever its case.

    Args:
        name: a folder's name or a label.
        place: where it was found, for the message.
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
    """Return the same emotions in canonical order, each once."""
    return tuple(emotion for emotion in EMOTIONS if emotion in emotions)


def match_number(text: str, order: tuple[Emotion, ...], place: object, *, first: int = 0) -> Emotion:
    """Return the emotion of a data set's own number, which counts from `first` in `order`.

    Raises:
        TrainingError: it is not such a number.
    """
    try:
        index = int(text) - first
    except ValueError:
        index = -1
    if not 0 <= index < len(order):
        known = ", ".join(f"{number} {emotion}" for number, emotion in enumerate(order, start=first))
        raise TrainingError(f"{place}: no emotion has the number {text.strip()!r}; known are {known}")
    return order[index]


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """The labels of one data set.

    Attributes:
        data_set: its name, for messages.
        order: the emotions of its numbers.
        first: the number of the first of them.
        others: labels that are not emotions, numbers and lower-case words, with the reason for a count.
    """

    data_set: str
    order: tuple[Emotion, ...]
    first: int = 0
    others: Mapping[str, str] = field(default_factory=dict)

    def knows(self, text: str) -> bool:
        """Return whether a text has the form of a label: a number, or a known word."""
        word = _normalise(text)
        return _parse_number(text) is not None or word in EMOTION_OF or word in self.others

    def match(self, text: str, place: object) -> Label:
        """Return what a label means; call `check` on all labels of a list or folder before.

        Raises:
            TrainingError: it is not a label.
        """
        number = _parse_number(text)
        other = self.others.get(_normalise(text) if number is None else str(number))
        if other is not None:
            return other
        if number is None:
            return match_class(text, place)
        return match_number(str(number), self.order, place, first=self.first)

    def check(self, texts: Collection[str], place: object) -> None:
        """Check that labels are words, or numbers that can only be the data set's own.

        All its numbers must occur (contempt, which sets of seven classes lack, may be missing): otherwise the
        numbering may start elsewhere or have another order.

        Raises:
            TrainingError: they are not.
        """
        numbers = {number for number in map(_parse_number, texts) if number is not None}
        words = sorted(text for text in texts if _parse_number(text) is None)
        if numbers and words:
            raise TrainingError(
                f"{place}: some labels are numbers ({min(numbers)}), some words ({words[0]!r}); "
                "they must be of one kind"
            )
        own = dict(enumerate(self.order, start=self.first))
        wanted = {number for number, emotion in own.items() if emotion != Emotion.CONTEMPT}
        known = own.keys() | {int(text) for text in self.others if text.isdecimal()}
        if numbers and not wanted <= numbers <= known:
            shown = ", ".join(map(str, sorted(numbers)[:SHOWN])) + ", ..." * (len(numbers) > SHOWN)
            meant = ", ".join(f"{number} {emotion}" for number, emotion in own.items())
            raise TrainingError(
                f"{place}: the labels are numbered {shown}, those of {self.data_set} are {meant}; "
                "which emotions are meant is not certain"
            )


def _parse_number(text: str) -> int | None:
    found = NUMBER.fullmatch(text.strip())
    return int(found[1]) if found else None


def _normalise(text: str) -> str:
    return text.strip().casefold()

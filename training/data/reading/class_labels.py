"""What a data set's labels mean: its own numbers, or words in any case.

Knows no files; a set of numbers that may be another numbering is refused, not guessed.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from fercore.contracts.emotions import Emotion
from training.data.reading.class_names import EMOTION_OF, match_class, match_number
from training.errors import TrainingError

NUMBER = re.compile(r"0*(\d+)(?:\.0*)?", re.ASCII)
"""A whole number, also as programs write it that hold numbers as floats ("3.0")."""

SHOWN = 12
"""So many numbers go into a message."""

Label = Emotion | str
"""An emotion, or the reason why a label is none, which counts what is left out."""


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """The labels of one data set.

    Attributes:
        data_set: its name, for messages.
        order: the emotions of its numbers.
        first: the number of the first of them.
        others: labels that are no emotion, numbers and words in small letters, with the reason for a count.
    """

    data_set: str
    order: tuple[Emotion, ...]
    first: int = 0
    others: Mapping[str, str] = field(default_factory=dict)

    def knows(self, text: str) -> bool:
        """Tell whether a text has the form of a label: a number, or a known word."""
        return _number_of(text) is not None or _word_of(text) in EMOTION_OF or _word_of(text) in self.others

    def match(self, text: str, place: object) -> Label:
        """Give what a label means; `check` all labels of a list or folder before.

        Raises:
            TrainingError: it is no label.
        """
        number = _number_of(text)
        other = self.others.get(_word_of(text) if number is None else str(number))
        if other is not None:
            return other
        if number is None:
            return match_class(text, place)
        return match_number(str(number), self.order, place, first=self.first)

    def check(self, texts: Collection[str], place: object) -> None:
        """Make sure that labels are words, or numbers that can only be the data set's own.

        All its numbers must be there (contempt, which sets of seven classes lack, may be missing): others may
        count from another place or in another order.

        Raises:
            TrainingError: they are not.
        """
        numbers = {number for number in map(_number_of, texts) if number is not None}
        words = sorted(text for text in texts if _number_of(text) is None)
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


def _number_of(text: str) -> int | None:
    found = NUMBER.fullmatch(text.strip())
    return int(found[1]) if found else None


def _word_of(text: str) -> str:
    return text.strip().casefold()

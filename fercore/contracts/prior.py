"""The prior of an answer: which mix of expressions a caller expects to meet, in words and in shares.

Knows no model and no arrays; `fercore.inference.calibration` corrects probabilities for it.
"""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from fercore.contracts.emotions import EMOTIONS

PriorName = Literal["training", "uniform", "custom", "auto"]

TRAINING: PriorName = "training"
"""The mix that the model was calibrated for: probabilities stay as they are."""

UNIFORM: PriorName = "uniform"
"""All emotions of the model, equally often."""

CUSTOM: PriorName = "custom"
"""The shares that the caller states."""

AUTO: PriorName = "auto"
"""The mix of a live stream, estimated from its own frames."""

FORM = "training, uniform, or shares such as neutral:0.2,happiness:0.8"
MAX_CHARS = 256

_SHARE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)


class WrongPrior(ValueError):
    """A text that states no prior, or none for these labels; its message is for the caller."""


def read_name(text: str) -> PriorName:
    """Name the prior that a text asks for."""
    for name in (TRAINING, UNIFORM, AUTO):
        if text == name:
            return name
    return CUSTOM


def read_shares(text: str, labels: Sequence[str] = EMOTIONS) -> dict[str, float] | None:
    """Read a prior as the share of each label.

    Args:
        text: `training`, `uniform`, or `emotion:share,...`; shares are normalised, and an emotion that is
            not named has none.
        labels: the emotions of a model, in its order.

    Returns:
        Shares in the order of the labels, sum 1; None for `training`, which changes nothing.

    Raises:
        WrongPrior: the text is of another form, names an emotion twice or one that is not among the labels,
            or a share is no number, negative, or all of them are 0.
    """
    if text == TRAINING:
        return None
    if text == UNIFORM:
        return dict.fromkeys(map(str, labels), 1 / len(labels))
    stated: dict[str, float] = {}
    for part in text.split(","):
        emotion, separator, share = (piece.strip() for piece in part.partition(":"))
        if not separator:
            raise WrongPrior(f"must be {FORM}")
        if emotion not in labels:
            raise WrongPrior(f"{emotion[:20]!r} is none of the emotions {', '.join(labels)}")
        if emotion in stated:
            raise WrongPrior(f"{emotion} stands twice")
        stated[str(emotion)] = _read_share(str(emotion), share)
    total = math.fsum(stated.values())
    if not 0 < total < math.inf:
        raise WrongPrior("the shares must not sum to 0" if total == 0 else "the shares are too large")
    return {str(label): stated.get(label, 0.0) / total for label in labels}


def _read_share(emotion: str, text: str) -> float:
    if not _SHARE.fullmatch(text):
        raise WrongPrior(f"the share of {emotion} is no number: {text[:20]!r}")
    share = float(text)
    if share < 0:
        raise WrongPrior(f"the share of {emotion} is negative")
    return share


def _checked(text: str) -> str:
    if text == AUTO:
        raise PydanticCustomError("prior", "auto is for live streams only; must be {form}", {"form": FORM})
    return _checked_live(text)


def _checked_live(text: str) -> str:
    try:
        if text != AUTO:
            read_shares(text)
    except WrongPrior as err:
        raise PydanticCustomError("prior", "{reason}", {"reason": str(err)}) from err
    return text


PriorText = Annotated[
    str,
    StringConstraints(max_length=MAX_CHARS),
    AfterValidator(_checked),
    Field(
        description="The mix of expressions to expect: `training` (what the model was calibrated for), "
        "`uniform`, or `emotion:share,...`, which is normalised"
    ),
]
"""A prior as a caller states it for an image."""

LivePriorText = Annotated[
    str,
    StringConstraints(max_length=MAX_CHARS),
    AfterValidator(_checked_live),
    Field(description="As for an image, or `auto`: estimated from the stream's own frames, bounded and slow"),
]
"""A prior as a caller states it for a live stream."""

"""The parts of a run's config about what is learnt: how rare emotions count, from whom, from where on.

Knows no torch and opens no file. What was not chosen is left out of a config's JSON, so that configs written
before a field existed keep their hash.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a config: nothing unknown in it, and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def is_zero(value: object) -> bool:
    """Tell whether a number that was added later has its default."""
    return value == 0


def is_none(value: object) -> bool:
    """Tell whether a section that was added later is not there."""
    return value is None


class BalancingConfig(Section):
    """How rare emotions are made to count; all off by default, and they may be combined."""

    loss_exponent: Annotated[
        float, Field(ge=0, le=1, description="Loss is weighted by share ** -exponent; 1: inverse frequency")
    ] = 0.0
    sampling_exponent: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Between 0, each face once an epoch, and 1, each emotion equally often (rare faces "
            "are drawn several times, each time augmented anew)",
        ),
    ] = 0.0
    logit_adjustment: Annotated[
        float,
        Field(
            ge=0,
            le=3,
            description="Factor of the log share added to logits in the loss (tau; Menon et al., ICLR 2021)",
        ),
    ] = 0.0
    rare_strength: Annotated[
        float,
        Field(
            ge=1, le=3, description="Augmentation of the rarest emotion is so much stronger; others between"
        ),
    ] = 1.0


RunFolder = Annotated[str, Field(min_length=1)]


class DistillationConfig(Section):
    """A finished run as teacher, or several whose answers are averaged (Hinton, Vinyals and Dean, 2015)."""

    teacher: Annotated[
        RunFolder | Annotated[tuple[RunFolder, ...], Field(min_length=2)],
        Field(description="The teacher's run folder, such as runs/big, or a list of them"),
    ]
    weight: Annotated[float, Field(gt=0, le=1, description="Of the teacher's answers beside the labels")] = (
        0.7
    )
    temperature: Annotated[float, Field(ge=1, le=20, description="Softens both sides' answers")] = 2.0
    view: Annotated[
        Literal["same", "clean"],
        Field(
            description="same: the teacher answers each augmented face (Beyer et al., CVPR 2022), with the "
            "same preprocessing; clean: it answers each face once, before the first epoch, which is cheaper"
        ),
    ] = "same"

    @property
    def teachers(self) -> tuple[str, ...]:
        """Their run folders, one or more."""
        return (self.teacher,) if isinstance(self.teacher, str) else self.teacher


class PruningConfig(Section):
    """What is left out of the finished run that `start_from` names: single weights, or whole channels."""

    sparsity: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Share of all convolution and linear weights that become zero and stay so",
            exclude_if=is_none,
        ),
    ] = None
    channels: Annotated[
        bool,
        Field(
            description="The strongest channels between convolutions are taken over, as many as "
            "architecture.options leaves: a smaller and faster network",
            exclude_if=lambda channels: not channels,
        ),
    ] = False

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if (self.sparsity is None) != self.channels:
            raise ValueError("give sparsity, or channels: true")
        return self

"""The model card: what a model folder says of itself, so that nothing is guessed from a name.

`fercore.inference.repository` reads cards, `training` writes them.
"""

import math
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fercore.contracts.emotions import Emotion, are_canonical

FACE_SIZE = 112
"""Side of a canonical face crop in pixels; every emotion model takes exactly this."""

INPUT_NAME = "face"
"""Graph input: UINT8 [n, 112, 112, 3], RGB, canonical framing."""

LOGITS_NAME = "logits"
"""Graph output: FP32 [n, K] in card order."""

FEATURES_NAME = "features"
"""Optional graph output: FP32 [n, C, h, w], for class-activation maps."""

NonEmpty = Annotated[str, Field(min_length=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSource(_Record):
    """A data set the model saw, and the terms under which it was had."""

    name: NonEmpty
    terms: NonEmpty
    rows: Annotated[int, Field(gt=0)]


class Metric(_Record):
    """One figure and the way it was measured."""

    name: NonEmpty
    value: float
    measured_on: Annotated[str, Field(min_length=1, description="Data set, split and number of rows")]
    command: Annotated[str, Field(min_length=1, description="The command that prints this figure again")]
    date: NonEmpty


class QualityBounds(_Record):
    """Beyond one of these a face is too badly seen for the model's answer to be trusted.

    Measure them with `python -m training quality`. The defaults hold for a card that brings none: they were
    the bounds of all models before cards had their own. Each measure is defined in `messages.FaceQuality`.
    """

    min_size_px: Annotated[float, Field(ge=0, description="Least side of the square, in pixels")] = 17.0
    max_blur: Annotated[float, Field(ge=0, le=1, description="Most blur")] = 0.67
    min_contrast: Annotated[float, Field(ge=0, le=1, description="Least standard deviation")] = 0.023
    max_clipped: Annotated[float, Field(ge=0, le=1, description="Largest share of black and white")] = 0.6


class ModelCard(_Record):
    """`card.json` of one model folder.

    Raises:
        pydantic.ValidationError: a field is missing, empty, unknown or out of range.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", description="Folder name without `emotion_`")]
    version: Annotated[str, Field(pattern=r"^[0-9]+$", description="Triton version folder")]
    description: NonEmpty
    architecture: NonEmpty
    labels: tuple[Emotion, ...]
    data: Annotated[tuple[DataSource, ...], Field(min_length=1)]
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)]
    temperature: Annotated[float, Field(gt=0, description="Logits are divided by it before softmax")]
    uncertain_below: Annotated[
        float, Field(ge=0, le=1, description="A top probability under this is marked uncertain")
    ]
    quality_bounds: Annotated[
        QualityBounds, Field(description="A face beyond one of them is marked uncertain, whatever its score")
    ] = QualityBounds()
    training_shares: Annotated[
        dict[Emotion, Annotated[float, Field(gt=0, le=1)]] | None,
        Field(
            description="Share of each label among the faces that the temperature was fitted on, sum 1: the "
            "mix that the probabilities are calibrated for; none: only that mix can be assumed"
        ),
    ] = None
    opset: Annotated[int, Field(ge=13, le=18)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Of model.onnx")]
    features_output: bool
    training_config: dict[str, object]
    training_config_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    def shares_by_name(self) -> dict[str, float] | None:
        """Return `training_shares` as messages carry them."""
        if self.training_shares is None:
            return None
        return {str(label): share for label, share in self.training_shares.items()}

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if not are_canonical(self.labels):
            raise ValueError("labels must be distinct and in canonical order")
        return self

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.training_shares is not None:
            if tuple(self.training_shares) != self.labels:
                raise ValueError("training_shares must name the labels, in their order")
            if not math.isclose(math.fsum(self.training_shares.values()), 1, abs_tol=1e-4):
                raise ValueError("training_shares must sum to 1")
        return self

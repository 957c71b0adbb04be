"""The part of a run's config about what happens in the graph before the network.

Knows no torch and opens no file.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.learning_config import Section, is_none, is_zero


class ClaheConfig(Section):
    """Equalisation by tiles within limits."""

    grid: Annotated[int, Field(ge=2, le=8, description="Tiles along a side; must divide the size")] = 4
    clip: Annotated[float, Field(gt=0, le=40, description="Most of a level, in mean counts")] = 2.0


class ThresholdConfig(Section):
    """White where a pixel is brighter than its window's mean less an offset."""

    window: Annotated[int, Field(ge=3, le=31, description="Side, odd, pixels")] = 11
    offset: Annotated[int, Field(ge=-64, le=64, description="Levels of 255")] = 2


class PreprocessingConfig(Section):
    """What happens inside the graph between the uint8 crop and the network."""

    size: Annotated[int, Field(ge=16, le=112, description="Side the network sees, pixels")] = 48
    mean: Annotated[float, Field(ge=0, le=1, description="Subtracted after scaling to [0, 1]")] = 0.5
    std: Annotated[float, Field(gt=0, le=1, description="Divided by")] = 0.25
    colour: Annotated[
        Literal["grey", "rgb"],
        Field(
            description="What the network sees: one channel of luma, or three of colour",
            exclude_if=lambda colour: colour == "grey",  # configs made before have no such field
        ),
    ] = "grey"
    contrast: Annotated[
        Literal["as_is", "equalised", "clahe"],
        Field(
            description="equalised: by each face's histogram; clahe: by tiles, within limits",
            exclude_if=lambda contrast: contrast == "as_is",
        ),
    ] = "as_is"
    clahe: Annotated[ClaheConfig, Field(exclude_if=lambda clahe: clahe == ClaheConfig())] = ClaheConfig()
    threshold: Annotated[
        ThresholdConfig | None,
        Field(description="Black and white, after the contrast", exclude_if=is_none),
    ] = None
    components: Annotated[
        int,
        Field(
            ge=0,
            le=500,
            description="Principal components kept of the training faces, last; 0: all is kept",
            exclude_if=is_zero,
        ),
    ] = 0

    @model_validator(mode="after")
    def _lighting_fits(self) -> Self:
        if self.colour != "grey" and (self.contrast != "as_is" or self.threshold is not None):
            raise ValueError("contrast and threshold are for colour: grey")
        if self.contrast == "clahe" and self.size % self.clahe.grid:
            raise ValueError(f"size {self.size} is no multiple of clahe.grid {self.clahe.grid}")
        if self.threshold is not None and self.threshold.window % 2 == 0:
            raise ValueError("threshold.window must be odd")
        return self

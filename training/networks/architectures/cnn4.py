"""Four blocks of convolutions and two dense layers: the plain CNN of FER2013 notebooks and edge devices.

The widths 128-256-512-512 with dense layers of 512 and 256 are those of the published edge CNN; other plain
baselines are options of the same file.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from typing_extensions import override

from training.errors import TrainingError

Width = Annotated[int, Field(ge=1)]
Block = Annotated[list[Width], Field(min_length=1)]


class Options(BaseModel):
    """What the config may choose: widths, normalisation, dropouts, and the faces it expects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: Literal[1, 3] = 1
    image_size: Annotated[int, Field(ge=16, le=112, description="Equal to preprocessing.size")] = 48
    blocks: Annotated[
        list[Block], Field(min_length=1, max_length=6, description="Width of each convolution, by block")
    ] = [[128], [256], [512], [512]]
    dense: Annotated[list[Width], Field(max_length=3, description="Hidden layers after flattening")] = [
        512,
        256,
    ]
    batch_norm: Annotated[bool, Field(description="Behind each convolution")] = True
    dropout: Annotated[float, Field(ge=0, lt=1, description="After each block")] = 0.25
    dense_dropout: Annotated[float, Field(ge=0, lt=1, description="After each dense layer")] = 0.25

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if self.image_size >> len(self.blocks) == 0:
            raise ValueError(f"{len(self.blocks)} blocks leave nothing of {self.image_size} px")
        return self


class Cnn4(nn.Module):
    """Blocks of convolution, batch normalisation, ReLU and max-pooling; flattened into dense layers."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__()
        self.input_shape = (options.channels, options.image_size, options.image_size)
        layers: list[nn.Module] = []
        channels: int = options.channels
        for widths in options.blocks:
            for width in widths:
                layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=not options.batch_norm))
                layers += [nn.BatchNorm2d(width)] if options.batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                channels = width
            layers += [nn.MaxPool2d(2), nn.Dropout(options.dropout)]
        self.blocks = nn.Sequential(*layers)
        side = options.image_size >> len(options.blocks)
        widths = [channels * side * side, *options.dense]
        dense: list[nn.Module] = []
        for before, width in pairwise(widths):
            dense += [nn.Linear(before, width), nn.ReLU(inplace=True), nn.Dropout(options.dense_dropout)]
        self.dense = nn.Sequential(nn.Flatten(), *dense)
        self.head = nn.Linear(widths[-1], classes)

    @override
    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Map float [n, channels, s, s] to logits [n, classes] and features [n, C, s / 2^blocks, ...].

        Raises:
            TrainingError: the faces are not of the size or colour that the options name.
        """
        if tuple(faces.shape[1:]) != self.input_shape:
            raise TrainingError(
                f"cnn4 was built for faces {list(self.input_shape)}, not {list(faces.shape[1:])}: "
                "preprocessing and architecture.options disagree"
            )
        features: Tensor = self.blocks(faces)
        logits: Tensor = self.head(self.dense(features))
        return logits, features


def build(classes: int, options: dict[str, object]) -> nn.Module:
    """Build the network with fresh weights.

    Raises:
        pydantic.ValidationError: an option is unknown or out of range.
    """
    return Cnn4(classes, Options.model_validate(options))

"""Three blocks of convolutions, the plain network of the FER2013 literature, with a light head.

Instead of flattening into a wide dense layer the last feature map is averaged (Lin et al., "Network in
Network", 2013): fewer weights, and its class-activation map is exact.
"""

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from typing_extensions import override

Widths = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]


class Options(BaseModel):
    """What the config may choose: the width of each convolution by block, and the dropout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blocks: Annotated[list[Widths], Field(min_length=3, max_length=3)] = [[32, 32], [64, 64], [128, 128]]
    dropout: Annotated[float, Field(ge=0, lt=1, description="After each block")] = 0.25
    head_dropout: Annotated[float, Field(ge=0, lt=1, description="Before the last layer")] = 0.25


class Cnn3(nn.Module):
    """Blocks of convolution, batch normalisation, ReLU; max-pooling and dropout after each block."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for widths in options.blocks:
            for width in widths:
                layers += [
                    nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                channels = width
            layers += [nn.MaxPool2d(2), nn.Dropout(options.dropout)]
        self.blocks = nn.Sequential(*layers)
        self.head_dropout = nn.Dropout(options.head_dropout)
        self.head = nn.Linear(channels, classes)

    @override
    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Map float [n, 1, s, s] to logits [n, classes] and features [n, C, s / 8, s / 8]."""
        features: Tensor = self.blocks(faces)
        logits: Tensor = self.head(self.head_dropout(torch.mean(features, dim=(2, 3))))
        return logits, features


def build(classes: int, options: dict[str, object]) -> nn.Module:
    """Build the network with fresh weights.

    Raises:
        pydantic.ValidationError: an option is unknown or out of range.
    """
    return Cnn3(classes, Options.model_validate(options))

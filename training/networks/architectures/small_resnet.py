"""ResNet's basic blocks (He et al., CVPR 2016) for small grey faces, of any widths and depth.

Plain 3 x 3 convolutions only, so that INT8 runs fast on a CPU.
"""

from typing import Annotated, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from typing_extensions import override

Width = Annotated[int, Field(ge=1)]


class Options(BaseModel):
    """What the config may choose: the stem, width of each stage, blocks in it, and the dropouts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stem: Annotated[
        list[Width], Field(min_length=1, max_length=3, description="Widths of the convolutions at full size")
    ] = [32]
    halves_first: Annotated[
        bool, Field(description="The first stage halves the map too: far less to compute in training")
    ] = False
    widths: Annotated[list[Width], Field(min_length=2, max_length=5)] = [32, 64, 128, 256]
    inner: Annotated[
        list[Width] | None,
        Field(description="Width between the two convolutions of a block, by stage; absent: the stage's"),
    ] = None
    blocks: Annotated[int, Field(ge=1, le=8, description="Basic blocks in each stage")] = 2
    drop_path: Annotated[
        float, Field(ge=0, lt=1, description="Chance that the last block is left out; earlier ones less")
    ] = 0.1
    head_dropout: Annotated[float, Field(ge=0, lt=1, description="Before the last layer")] = 0.3

    @model_validator(mode="after")
    def _check_inner(self) -> Self:
        if self.inner is not None and len(self.inner) != len(self.widths):
            raise ValueError("inner needs a width for each stage")
        return self


class BasicBlock(nn.Module):
    """Two convolutions with a shortcut; in training the pair is dropped at random (Huang et al., 2016)."""

    def __init__(self, channels: int, inner: int, width: int, stride: int, drop_path: float) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, inner, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )
        self.drop_path = drop_path

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """Map float [n, channels, h, w] to float [n, width, h / stride, w / stride]."""
        change: Tensor = self.convolutions(maps)
        if self.training and self.drop_path > 0:
            kept = torch.rand(len(maps), 1, 1, 1, device=maps.device) >= self.drop_path
            change = change * kept.to(change.dtype) / (1 - self.drop_path)
        return torch.relu(change + self.shortcut(maps))


class SmallResNet(nn.Module):
    """A stem of convolutions, stages that halve the map (the first if asked), a mean, one linear layer."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__()
        channels = 1
        layers: list[nn.Module] = []
        for width in options.stem:
            layers += [
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        last = len(options.widths) * options.blocks - 1
        inner = options.inner or options.widths
        for stage, width in enumerate(options.widths):
            for block in range(options.blocks):
                stride = 2 if block == 0 and (stage > 0 or options.halves_first) else 1
                drop_path = options.drop_path * (stage * options.blocks + block) / max(1, last)
                layers.append(BasicBlock(channels, inner[stage], width, stride, drop_path))
                channels = width
        self.body = nn.Sequential(*layers)
        self.head_dropout = nn.Dropout(options.head_dropout)
        self.head = nn.Linear(channels, classes)

    @override
    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Map float [n, 1, s, s] to logits [n, classes] and features [n, C, h, w]."""
        features: Tensor = self.body(faces)
        logits: Tensor = self.head(self.head_dropout(torch.mean(features, dim=(2, 3))))
        return logits, features


def build(classes: int, options: dict[str, object]) -> nn.Module:
    """Build the network with fresh weights.

    Raises:
        pydantic.ValidationError: an option is unknown or out of range.
    """
    return SmallResNet(classes, Options.model_validate(options))

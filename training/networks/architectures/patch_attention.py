"""A truncated MobileNet, patch extraction with several kernel sizes, and attention among the patches.

After "PAtt-Lite: Lightweight Patch and Attention MobileNet for Challenging Facial Expression Recognition"
(Ngwe et al., IEEE Access, 2024): MobileNet (Howard et al., 2017) is cut at stride 16, depthwise-separable
convolutions extract patches, and self-attention weighs them before the classifier. There the convolutions are
sequential and attention sees one pooled vector; here kernels of several sizes are parallel, are concatenated
and pooled to a grid, and attention (Vaswani et al., 2017) sees the grid's cells as tokens.
"""

from collections.abc import Sequence
from typing import Annotated, Self

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import override

from training.networks import pretrained

Kernel = Annotated[int, Field(ge=1, le=9)]


class Options(pretrained.TrunkOptions):
    """What the config may choose: the trunk and where it is cut, the patches, the attention."""

    trunk: Annotated[str, Field(min_length=1, description="A MobileNet of timm")] = "mobilenetv1_100"
    stage: Annotated[int, Field(ge=1, le=4, description="Cut behind it; its stride is 2 ** (stage + 1)")] = 3
    kernels: tuple[Kernel, ...] = Field((1, 3, 5), min_length=1, description="Odd sizes, side by side")
    patch_width: Annotated[int, Field(ge=1, description="Channels of each kernel size")] = 128
    pooling: Annotated[int, Field(ge=1, le=4, description="Side of the patches averaged to one token")] = 2
    heads: Annotated[int, Field(ge=1, description="Of the attention; divides the patches' channels")] = 4
    dropout: Annotated[float, Field(ge=0, lt=1, description="Of the patches, and before the last layer")] = (
        0.3
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError("kernels must be odd, so that their maps lie on each other")
        if len(self.kernels) * self.patch_width % self.heads:
            raise ValueError("heads must divide kernels x patch_width")
        return self


class PatchExtraction(nn.Module):
    """Depthwise-separable convolutions of several kernel sizes side by side, concatenated."""

    def __init__(self, channels: int, width: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for kernel in kernels
        )

    @override
    def forward(self, maps: Tensor) -> Tensor:
        """Map float [n, channels, h, w] to float [n, kernels x width, h, w]."""
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


class Attention(nn.Module):
    """Self-attention of several heads after a layer normalisation, with a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    @override
    def forward(self, tokens: Tensor) -> Tensor:
        """Map float [n, tokens, width] to the same shape."""
        parts: Tensor = self.query_key_value(self.norm(tokens))
        parts = parts.reshape(*tokens.shape[:2], 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each [n, heads, tokens, width / heads]
        mixed = F.scaled_dot_product_attention(query, key, value)
        change: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return tokens + change


class PatchAttention(nn.Module):
    """The whole: trunk, patches, tokens, attention, mean, one linear layer."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__()
        self.options = options
        self.trunk: pretrained.Trunk = pretrained.make_trunk(options.trunk, options.channels, {})
        channels = self.trunk.feature_info[options.stage]["num_chs"]
        self.trunk.prune_intermediate_layers([options.stage], prune_head=True)
        width = len(options.kernels) * options.patch_width
        self.patches = PatchExtraction(channels, options.patch_width, options.kernels)
        self.pooling = nn.AvgPool2d(options.pooling, ceil_mode=True, count_include_pad=False)
        self.dropout = nn.Dropout(options.dropout)
        self.attention = Attention(width, options.heads)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def load_pretrained(self) -> None:
        """Load the weights that the options name for the trunk, if any.

        Raises:
            TrainingError: they cannot be fetched or read, or do not fit.
        """
        pretrained.load_chosen(self.trunk, self.options.trunk, self.options)

    @override
    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Map float [n, channels, s, s] to logits [n, classes] and the patches [n, C, h, w] as features."""
        (maps,) = self.trunk.forward_intermediates(
            faces, indices=[self.options.stage], intermediates_only=True
        )
        features: Tensor = self.patches(maps)
        tokens = self.dropout(self.pooling(features)).flatten(2).transpose(1, 2)
        pooled = self.norm(self.attention(tokens)).mean(dim=1)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits, features


def build(classes: int, options: dict[str, object]) -> nn.Module:
    """Build the network with fresh weights.

    Raises:
        pydantic.ValidationError: an option is unknown or out of range.
        TrainingError: timm has no such trunk.
    """
    return PatchAttention(classes, Options.model_validate(options))

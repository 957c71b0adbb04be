"""Any network of the `timm` library (Wightman, 2019), by its name in the config.

The networks of the published comparisons, and their papers:

    vgg16_bn               Simonyan and Zisserman, ICLR 2015 (without its dense layers, made for 224 px)
    resnet18, resnet50     He et al., "Deep Residual Learning for Image Recognition", CVPR 2016
    densenet121            Huang et al., "Densely Connected Convolutional Networks", CVPR 2017
    mobilenetv2_100        Sandler et al., "MobileNetV2: Inverted Residuals", CVPR 2018
    tf_efficientnetv2_b0   Tan and Le, "EfficientNetV2", ICML 2021
    inception_v3           Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016 (from 75 px)
    vit_base_patch16_224   Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021 (image_size 112)
    vit_base_patch32_224   the same (image_size 96: a crop of 112 px is no multiple of its patches)
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from training.errors import TrainingError
from training.networks import pretrained


class Options(pretrained.TrunkOptions):
    """What the config may choose: the network, its weights to start from, its input and dropouts."""

    model: Annotated[str, Field(min_length=1, description="timm's name, with a tag or without")] = "resnet18"
    image_size: Annotated[
        int | None,
        Field(ge=16, le=112, description="preprocessing.size; only for networks of one size, such as ViT"),
    ] = None
    head_dropout: Annotated[float, Field(ge=0, lt=1, description="Before the last layer")] = 0.2
    arguments: dict[str, bool | int | float | str | list[int]] = Field(
        default_factory=dict, description="Further arguments of timm's constructor, such as drop_path_rate"
    )


class TimmNet(nn.Module):
    """A trunk of timm, its own pooling, dropout and one linear layer."""

    def __init__(self, classes: int, options: Options) -> None:
        super().__init__()
        self.options = options
        arguments = dict(options.arguments)
        if options.image_size is not None:
            arguments["img_size"] = options.image_size
        self.trunk: pretrained.Trunk = pretrained.make_trunk(options.model, options.channels, arguments)
        if isinstance(getattr(self.trunk, "pre_logits", None), nn.Module):
            self.trunk.pre_logits = nn.Identity()  # VGG's dense layers: 119 of its 134 million weights
        self.head_dropout = nn.Dropout(options.head_dropout)
        self.head = nn.Linear(self.trunk.num_features, classes)

    def load_pretrained(self) -> None:
        """Load the weights that the options name, if any.

        Raises:
            TrainingError: they cannot be fetched or read, or do not fit.
        """
        pretrained.load_chosen(self.trunk, self.options.model, self.options)

    @override
    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Map float [n, channels, s, s] to logits [n, classes] and features [n, C, h, w].

        The feature map of a transformer is its grid of patch tokens.

        Raises:
            TrainingError: the faces are not of the size or colour that the options name.
        """
        self._check(faces)
        found = self.trunk.forward_features(faces)
        logits: Tensor = self.head(self.head_dropout(self.pool(found)))
        if found.ndim == 4:
            return logits, found
        height, width = self.trunk.patch_embed.grid_size
        patches = found[:, self.trunk.num_prefix_tokens :].transpose(1, 2)
        return logits, patches.reshape(found.shape[0], -1, height, width)

    def pool(self, found: Tensor) -> Tensor:
        """Map what the trunk's last stage gives to the vector [n, C] that its classifier would take."""
        return self.trunk.forward_head(found, pre_logits=True)

    def _check(self, faces: Tensor) -> None:
        channels, height = faces.shape[1], faces.shape[2]
        if channels != self.options.channels:
            raise TrainingError(
                f"{self.options.model} was built for {self.options.channels} channels, the faces have "
                f"{channels}: preprocessing.colour and architecture.options.channels disagree"
            )
        needed = self.trunk.patch_embed.img_size[0] if hasattr(self.trunk, "patch_embed") else height
        if height != needed:
            raise TrainingError(
                f"{self.options.model} was built for {needed} px, the faces have {height}: "
                "preprocessing.size and architecture.options.image_size disagree"
            )


def build(classes: int, options: dict[str, object]) -> nn.Module:
    """Build the network with fresh weights.

    Raises:
        pydantic.ValidationError: an option is unknown or out of range.
        TrainingError: timm has no such network, or it does not take such arguments.
    """
    return TimmNet(classes, Options.model_validate(options))

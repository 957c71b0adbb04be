"""Networks of the `timm` library (Wightman, 2019), and weights for them to start from.

It builds trunks without a head, and fills them from timm's hub or from a local file.
"""

import inspect
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self, cast

import httpx
import timm
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from pydantic import Field, model_validator
from safetensors import SafetensorError
from timm.models import load_pretrained, load_state_dict
from torch import Tensor, nn

from training.config import Section
from training.errors import TrainingError

_HUB_FAULTS = (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, httpx.HTTPError, OSError)
_FILE_FAULTS = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
    SafetensorError,
)
"""What timm raises on a file that is none, broken, or of something else than tensors."""


class TrunkOptions(Section):
    """What the config may choose of a trunk: its weights to start from, and its input."""

    pretrained: Annotated[bool, Field(description="Start the trunk from the hub's weights")] = False
    weights_file: Annotated[
        str | None, Field(description="Or from this .pth or .safetensors file in timm's naming")
    ] = None
    channels: Annotated[Literal[1, 3], Field(description="1 where preprocessing.colour is grey, 3: rgb")] = 1

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.pretrained and self.weights_file is not None:
            raise ValueError("give pretrained or weights_file, not both")
        return self


class Grid(Protocol):
    """The patch grid of a transformer."""

    img_size: tuple[int, int]
    grid_size: tuple[int, int]


class Trunk(nn.Module):
    """The part of a timm network that is used here: a type only, timm creates the instances."""

    num_features: int
    num_prefix_tokens: int
    patch_embed: Grid
    pretrained_cfg: dict[str, object]
    feature_info: Sequence[Mapping[str, int]]
    forward_features: Callable[[Tensor], Tensor]
    forward_head: Callable[..., Tensor]
    forward_intermediates: Callable[..., list[Tensor]]
    prune_intermediate_layers: Callable[..., list[int]]


def make_trunk(model: str, channels: int, arguments: Mapping[str, object]) -> Trunk:
    """Build a network of timm without its classifier, with fresh weights.

    Args:
        model: timm's name, such as `resnet18` or, with the weights' tag, `resnet18.a1_in1k`.
        channels: of the input; 1 is grey.
        arguments: further arguments of timm's constructor, such as `drop_path_rate`.

    Raises:
        TrainingError: timm has no such network, or it does not take such arguments.
    """
    if not timm.is_model(model):
        family = re.split(r"[._]", model, maxsplit=1)[0]
        near = timm.list_models(f"*{family}*")[:8]
        raise TrainingError(f"timm has no network {model!r}; near: {', '.join(near) or 'none'}")
    try:
        create: Callable[..., nn.Module] = timm.create_model
        trunk = create(model, num_classes=0, in_chans=channels, **arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as err:
        raise TrainingError(f"timm cannot make {model} with {dict(arguments)}: {_join_lines(err)}") from err
    return cast("Trunk", trunk)


def load_chosen(trunk: Trunk, model: str, options: TrunkOptions) -> None:
    """Fill a trunk from a file or from the hub, as a network's options say; otherwise leave it as it is.

    Raises:
        TrainingError: the weights cannot be fetched or read, or do not fit.
    """
    if options.weights_file is not None:
        load_from_file(trunk, Path(options.weights_file), options.channels)
    elif options.pretrained:
        load_from_hub(trunk, model, options.channels)


def load_from_hub(trunk: Trunk, model: str, channels: int) -> None:
    """Fill a trunk with the weights that timm has under the model's name.

    Raises:
        TrainingError: there are none, or they cannot be fetched.
    """
    if not trunk.pretrained_cfg.get("hf_hub_id") and not trunk.pretrained_cfg.get("url"):
        raise TrainingError(f"timm has no pretrained weights for {model}: name a weights_file instead")
    try:
        _load(trunk, channels, {}, model)
    except _HUB_FAULTS as err:
        raise TrainingError(
            f"the pretrained weights of {model} cannot be fetched ({type(err).__name__}): "
            "is there a way to the hub? Else name a weights_file"
        ) from err


def load_from_file(trunk: Trunk, file: Path, channels: int) -> None:
    """Fill a trunk from a .pth or .safetensors file in timm's naming; a classifier in it is ignored.

    The first convolution is adapted from three colours to one by summing its weights over them, and the
    position embeddings of a vision transformer are resampled to its grid, as timm does.

    Raises:
        TrainingError: the file cannot be read, or lacks a weight, or one is of another shape.
    """
    try:
        state: object = load_state_dict(str(file))
    except _FILE_FAULTS as err:
        raise TrainingError(f"{file} cannot be read as weights: {_join_lines(err)}") from err
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise TrainingError(f"{file} cannot be read as weights: it is no table of tensors")
    try:
        _load(trunk, channels, {"state_dict": state}, str(file))
    except _FILE_FAULTS as err:
        raise TrainingError(f"{file} does not fit the network: {_join_lines(err)}") from err


def _load(trunk: Trunk, channels: int, source: dict[str, object], name: str) -> None:
    missing: list[str] = []
    hook = trunk.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
        lambda _, keys: missing.extend(keys.missing_keys)
    )
    try:
        load_pretrained(
            trunk,
            pretrained_cfg={**trunk.pretrained_cfg, **source},
            num_classes=0,
            in_chans=channels,
            filter_fn=getattr(inspect.getmodule(type(trunk)), "checkpoint_filter_fn", None),
            strict=False,
        )
    finally:
        hook.remove()
    if missing:
        raise TrainingError(
            f"{name} does not fit the network: {len(missing)} of its {len(trunk.state_dict())} weights are "
            f"missing, {missing[0]} among them"
        )


def _join_lines(err: Exception) -> str:
    return " ".join(str(err).split())[:300] or type(err).__name__

"""Pruning: what is left out of a trained network before it is trained on.

Global magnitude pruning sets the least weights to zero and keeps them there (Han et al., NeurIPS 2015): a
smaller download, not a faster graph, since ONNX Runtime multiplies zeros like other numbers. Channel pruning
gives a narrower network the strongest channels of a wider one (Li et al., ICLR 2017): a smaller and faster
graph.
"""

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


@torch.no_grad()
def find_masks(network: nn.Module, sparsity: float) -> dict[str, Tensor]:
    """Compute the masks, 0 or 1, of all convolution and linear weights, by name of the parameter."""
    # not torch.nn.utils.prune: it renames parameters, and fails on channels_last weights
    weights = {f"{name}.weight": layer.weight for name, layer in list_prunable_layers(network).items()}
    sizes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    bound = sizes.kthvalue(max(1, round(sparsity * len(sizes)))).values
    return {name: (weight.abs() > bound).to(weight.dtype) for name, weight in weights.items()}


@torch.no_grad()
def apply_masks(network: nn.Module, masks: dict[str, Tensor]) -> None:
    """Set the masked weights to zero."""
    for name, weight in network.named_parameters():
        if name in masks:
            weight.mul_(masks[name])


def list_prunable_layers(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the layers whose weights magnitude pruning compares, by name."""
    return {
        name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)
    }


def narrow(wide: Weights, network: nn.Module) -> Weights:
    """Choose among the weights of a wider network those that a narrower one can take over.

    Channels are left out where a chain (`nn.Sequential`) leads them from one convolution to the next, past
    normalisation, activation, pooling and dropout; all other widths must be the same.

    Args:
        wide: weights by name.
        network: its shapes give the number of channels that are kept.

    Raises:
        KeyError: a weight is missing.
        RuntimeError: the network is wider somewhere.
    """
    weights = dict(wide)
    for name, chain in network.named_modules():
        if isinstance(chain, nn.Sequential):
            _narrow_chain(weights, f"{name}.", chain)
    return weights


def _narrow_chain(weights: Weights, prefix: str, chain: nn.Sequential) -> None:
    kept: Tensor | None = None  # channels that come out of the last convolution; None: all
    for name, layer in chain.named_children():
        own = {f"{prefix}{name}.{key}": weight.ndim for key, weight in layer.state_dict().items()}
        if isinstance(layer, nn.Conv2d):
            weight = f"{prefix}{name}.weight"
            if kept is not None and layer.groups == 1:
                weights[weight] = weights[weight][:, kept]
            kept = _find_strongest(weights[weight], layer.out_channels)
            weights |= {key: weights[key][kept] for key in own}
        elif isinstance(layer, nn.BatchNorm2d) and kept is not None:
            weights |= {key: weights[key][kept] for key, axes in own.items() if axes}
        elif own:
            kept = None


def _find_strongest(filters: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` filters with the largest mean magnitude, in their order."""
    return filters.abs().mean(dim=(1, 2, 3)).topk(count).indices.sort().values

"""Channel pruning: a narrower network takes over the strongest channels of a wider one of the same kind.

Knows no training loop and no architecture by name. What is left is a smaller network like any other, so its
graph is smaller and faster (Li et al., ICLR 2017, who tune it afterwards as is done here).
"""

from torch import Tensor, nn

Weights = dict[str, Tensor]


def narrow(wide: Weights, network: nn.Module) -> Weights:
    """Choose among the weights of a wider network those that a narrower one can take over.

    Channels are left out where a chain (`nn.Sequential`) leads them from one convolution to the next, past
    normalisation, activation, pooling and dropout; all other widths must be the same.

    Args:
        wide: weights by name.
        network: says by its shapes how many channels are left.

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
            kept = _strongest(weights[weight], layer.out_channels)
            weights |= {key: weights[key][kept] for key in own}
        elif isinstance(layer, nn.BatchNorm2d) and kept is not None:
            weights |= {key: weights[key][kept] for key, axes in own.items() if axes}
        elif own:
            kept = None


def _strongest(filters: Tensor, count: int) -> Tensor:
    """Give the indices of the `count` filters with the largest mean magnitude, in their order."""
    return filters.abs().mean(dim=(1, 2, 3)).topk(count).indices.sort().values

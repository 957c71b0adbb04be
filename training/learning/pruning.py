"""Global magnitude pruning: the least weights of a trained network become zero and stay so.

Knows no training loop. Fewer weights make a smaller download, not a smaller or faster graph: ONNX Runtime
multiplies zeros like other numbers (Han et al., NeurIPS 2015, fine-tune as is done here). Whole channels are
left out by `training.learning.channel_pruning`.
"""

import json
import zlib
from pathlib import Path

import torch
from torch import Tensor, nn

from training.exporting.export import load_run
from training.learning import run_folder
from training.measuring import graphs

REPORT = "pruning.json"


@torch.no_grad()
def find_masks(network: nn.Module, sparsity: float) -> dict[str, Tensor]:
    """Give the masks, 0 or 1, of all convolution and linear weights, by name of the parameter."""
    # not torch.nn.utils.prune: it renames parameters, and fails on channels_last weights
    weights = {f"{name}.weight": layer.weight for name, layer in _layers(network).items()}
    sizes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    bound = sizes.kthvalue(max(1, round(sparsity * len(sizes)))).values
    return {name: (weight.abs() > bound).to(weight.dtype) for name, weight in weights.items()}


@torch.no_grad()
def apply_masks(network: nn.Module, masks: dict[str, Tensor]) -> None:
    """Set the masked weights to zero."""
    for name, weight in network.named_parameters():
        if name in masks:
            weight.mul_(masks[name])


def report_pruning(run: Path) -> dict[str, float]:
    """Measure a run's best network as it would be exported, and write the figures to its `pruning.json`."""
    _, servable = load_run(run)
    layers = _layers(servable).values()
    weights = sum(layer.weight.numel() for layer in layers)
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    graph = graphs.to_onnx(servable)
    figures = {
        "weights": float(weights),
        "sparsity": round(zeros / weights, 5),
        "onnx_bytes": float(len(graph)),
        "onnx_deflated_bytes": float(len(zlib.compress(graph))),
    }
    run_folder.write_text(run / REPORT, json.dumps(figures, indent=2) + "\n")
    return figures


def _layers(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {
        name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)
    }

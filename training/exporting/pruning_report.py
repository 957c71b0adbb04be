"""Measure what pruning made of a run's network: zeros, and bytes as it would be exported."""

import json
import zlib
from pathlib import Path

from training.exporting.onnx import to_onnx
from training.learning import run_folder
from training.learning.pruning import list_prunable_layers
from training.learning.run_folder import load_run

REPORT = "pruning.json"


def report_pruning(run: Path) -> dict[str, float]:
    """Measure a run's best network as it would be exported, and write the figures to its `pruning.json`."""
    _, servable = load_run(run)
    layers = list_prunable_layers(servable).values()
    weights = sum(layer.weight.numel() for layer in layers)
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    graph = to_onnx(servable)
    figures = {
        "weights": float(weights),
        "sparsity": round(zeros / weights, 5),
        "onnx_bytes": float(len(graph)),
        "onnx_deflated_bytes": float(len(zlib.compress(graph))),
    }
    run_folder.write_text(run / REPORT, json.dumps(figures, indent=2) + "\n")
    return figures

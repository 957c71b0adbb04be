"""Measure a trained entry: what it answers, and what a face costs."""

import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from fercore.contracts.card import FACE_SIZE, INPUT_NAME, LOGITS_NAME
from fercore.inference.calibration import softmax
from training.comparing.entry import ANSWERS, GRAPH
from training.config import RunConfig
from training.data.faces import DataSet, Split
from training.errors import TrainingError
from training.exporting import hybrid
from training.exporting.onnx import to_onnx
from training.learning.atomic import write_atomic
from training.learning.run_folder import load_run
from training.measuring.calibrate import fit_temperature
from training.measuring.evaluate import select_judged
from training.measuring.graphs import run_file
from training.networks.build import Servable

MEMORY_RUNS = 20
_MEMORY = f"""
import resource, sys
import numpy as np
from fercore.inference.session import open_session
face = np.zeros((1, {FACE_SIZE}, {FACE_SIZE}, 3), np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
session = open_session(__import__("pathlib").Path(sys.argv[1]))
for _ in range({MEMORY_RUNS}):
    session.run([{LOGITS_NAME!r}], {{{INPUT_NAME!r}: face}})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def measure_run(folder: Path, config: RunConfig, data: DataSet, split: str) -> dict[str, object]:
    """Export a run's best network to `model.onnx`, and measure it.

    The probabilities of the split are kept in `answers.npz`. They are calibrated by a temperature that is
    fitted on the validation split, as an export's are.

    Returns:
        `split`, `labels`, `temperature`, `parameters`, `macs`, `graph_bytes` and `memory_mb`.

    Raises:
        TrainingError: the run has no best network, or the disk is full.
    """
    _, servable = load_run(folder)
    graph = _hybrid_graph(servable, config, data) if config.forest else to_onnx(servable)
    write_atomic(folder / GRAPH, graph)
    validation = select_judged(data.splits["validation"])
    logits = run_file(folder / GRAPH, validation.crop())
    temperature = fit_temperature(logits, validation.majority)
    faces = select_judged(data.splits[cast("Split", split)])
    if split != "validation":
        logits = run_file(folder / GRAPH, faces.crop())
    probabilities = softmax(logits, temperature)
    with (folder / f"{ANSWERS}.partial").open("wb") as file:
        np.savez(file, probabilities=probabilities.astype(np.float32), labels=faces.majority)
    Path(file.name).replace(folder / ANSWERS)
    return {
        "split": split,
        "labels": [label.value for label in data.labels],
        "temperature": temperature,
        "parameters": sum(weights.numel() for weights in servable.network.parameters()),
        "macs": count_macs(servable),
        "graph_bytes": len(graph),
        "memory_mb": measure_memory(folder / GRAPH),
    }


def count_macs(servable: Servable) -> int:
    """Return the multiplications of convolutions, matrix products and attention for one face."""
    face = torch.zeros(1, FACE_SIZE, FACE_SIZE, 3, dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        servable(face)
    return int(counter.get_total_flops()) // 2


def measure_memory(graph: Path) -> float:
    """Return the megabytes that a process grows by when it loads a graph and answers single faces.

    Raises:
        TrainingError: the process fails.
    """
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [sys.executable, "-c", _MEMORY, str(graph)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrainingError(f"{graph} cannot be run: {done.stderr.strip().splitlines()[-1:]}")
    return round(int(done.stdout) / 1024, 1)


def _hybrid_graph(servable: Servable, config: RunConfig, data: DataSet) -> bytes:
    if config.forest is None:
        raise ValueError("the config has no forest")
    extractor = hybrid.FeatureExtractor(servable, config.forest)
    forest = hybrid.fit_hybrid(extractor, data.splits["train"], config.forest, seed=config.seed, threads=1)
    return hybrid.build_graph(extractor, forest, len(data.labels))

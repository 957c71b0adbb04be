"""Turn a detector's run into `model_repository/detector_<name>/`: graph and card.

Knows no command line. What is written is complete or not there at all.
"""

import hashlib
import json
import tempfile
import warnings
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from torch import Tensor

from fercore.inference.session import load_graph
from training import run_folder
from training.detection.config import DetectorConfig, load_detector_config
from training.detection.network import OUTPUTS, STRIDES, FerFace, Served
from training.errors import TrainingError
from training.graphs import IR_VERSION, OPSET

FOLDER_PREFIX = "detector_"
TOLERANCE = 2e-3
"""Largest difference of an answer between torch and the graph, in strides or logits."""

INPUT = "picture"


def export(run: Path, repository: Path, terms: str) -> Path:
    """Write the best weights of a run as a graph from uint8 RGB [1, h, w, 3] to one map a stride.

    Raises:
        TrainingError: it is no finished run, or the graph answers otherwise than torch.
    """
    config = load_detector_config(run / run_folder.CONFIG)
    network = FerFace()
    network.load_state_dict(
        cast("dict[str, Tensor]", run_folder.load_state(run / run_folder.BEST)["network"])
    )
    served = Served(network).eval()
    graph = to_onnx(served)
    target = repository / f"{FOLDER_PREFIX}{config.name}"
    repository.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=repository) as parent:
        beside = Path(parent) / target.name
        beside.mkdir()
        (beside / "model.onnx").write_bytes(graph)
        check_parity(served, Path(parent), f"{target.name}/model.onnx")
        card = make_card(run, config, hashlib.sha256(graph).hexdigest(), terms, network)
        (beside / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        if target.exists():
            target.rename(Path(parent) / "replaced")
        beside.rename(target)
    return target


def to_onnx(served: Served) -> bytes:
    """Trace the network into an ONNX file's bytes; height and width stay open."""
    names = [f"stride_{stride}" for stride in STRIDES]
    axes = {INPUT: {1: "height", 2: "width"}}
    axes.update({name: {2: f"rows_{name}", 3: f"columns_{name}"} for name in names})
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated; the other needs more packages
        torch.onnx.export(
            served,
            (torch.zeros(1, 96, 160, 3, dtype=torch.uint8),),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=names,
            dynamic_axes=axes,
        )
        model = onnx.load_model(file)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def check_parity(served: Served, repository: Path, file: str) -> None:
    """Compare torch with the written graph on pictures of several sizes.

    Raises:
        TrainingError: an answer differs by more than `TOLERANCE`.
    """
    shapes = [(None, OUTPUTS, None, None) for _ in STRIDES]
    graph = load_graph(repository, file, takes=(None, None, None, 3), gives=shapes, hint="", dtype=np.uint8)
    random = np.random.default_rng(0)
    for height, width in ((96, 160), (480, 640), (32, 32), (224, 96)):
        picture = random.integers(0, 256, (1, height, width, 3), dtype=np.uint8)
        with torch.no_grad():
            expected = served(torch.from_numpy(picture))
        for answer, wanted in zip(graph.run(picture), expected, strict=True):
            if answer.shape != tuple(wanted.shape) or not np.allclose(answer, wanted, atol=TOLERANCE):
                raise TrainingError(
                    f"export refused: the graph answers otherwise than torch at {width}x{height}"
                )


def make_card(
    run: Path, config: DetectorConfig, sha256: str, terms: str, network: FerFace
) -> dict[str, object]:
    """Say what the graph is, what it was trained on and how."""
    provenance = json.loads((run / run_folder.PROVENANCE).read_text(encoding="utf-8"))
    return {
        "name": config.name,
        "version": "1",
        "description": "single-shot, anchor-free face detector with five landmarks",
        "parameters": sum(weights.numel() for weights in network.parameters()),
        "opset": OPSET,
        "sha256": sha256,
        "data": terms,
        "git_commit": provenance["git_commit"],
        "data_sha256": provenance["data_sha256"],
        "training_config": config.model_dump(mode="json"),
    }

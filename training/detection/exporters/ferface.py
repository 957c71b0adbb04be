"""ferface, or another detector trained here: the best weights of a run."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from training.detection.config import DetectorConfig, TeacherConfig, load_detector_config
from training.detection.exporting import INPUT, load_weights, to_onnx
from training.detection.network import STRIDES, FerFace
from training.detection.served import Maps, Served
from training.exporting.onnx import OPSET
from training.learning import run_folder

FOLDERS = {"wider_train": "WIDER FACE train, 1,239 of its pictures (research use)"}
"""How a card names known data folders."""

TEACHERS = {"yunet": "YuNet (libfacedetection.train)"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what this exporter takes."""
    parser.add_argument("run", type=Path, help="a run's folder, such as runs/ferface")


def export(options: argparse.Namespace) -> dict[str, bytes]:
    """Build `model.onnx`, from uint8 RGB [1, h, w, 3] to boxes, scores and landmarks, and `card.json`.

    Raises:
        TrainingError: it is not a finished run, or its maps differ between ONNX and torch.
    """
    config = load_detector_config(options.run / run_folder.CONFIG)
    state = run_folder.load_state(options.run / run_folder.BEST)
    network = FerFace()
    load_weights(network, cast("dict[str, Tensor]", state["network"]), "ferface")
    graph = to_graph(network)
    card = _make_card(options.run, config, hashlib.sha256(graph).hexdigest())
    card["parameters"] = sum(weights.numel() for weights in network.parameters())
    return {"model.onnx": graph, "card.json": (json.dumps(card, indent=2) + "\n").encode()}


def to_graph(network: FerFace) -> bytes:
    """Trace a network as it is served; height and width stay open.

    Its maps are compared with torch's in a graph of their own: of faces, noise has none, or too many alike.
    """
    shapes = [(1, 96, 160, 3), (1, 480, 640, 3), (1, 32, 32, 3)]
    sides: dict[str, dict[int, str]] = {INPUT: {1: "height", 2: "width"}}
    maps = [f"stride_{stride}" for stride in STRIDES]
    axes = sides | {name: {2: f"{name}_rows", 3: f"{name}_columns"} for name in maps}
    to_onnx(Maps(network).eval(), shapes, outputs=maps, axes=axes, dtype=torch.uint8)
    given = ["boxes", "scores", "landmarks"]
    axes = sides | {name: {0: "faces"} for name in given}
    return to_onnx(
        Served(network).eval(), shapes, outputs=given, axes=axes, dtype=torch.uint8, is_compared=False
    )


def describe_data(config: DetectorConfig) -> str:
    """Describe a run's images and where their labels come from, in one line of a card."""
    parts = [FOLDERS.get(config.data, config.data), _describe_teaching(config.teacher)]
    if config.paste:
        parts.append(f"faces of {config.paste.data.name} pasted in")
    return "; ".join(parts)


def _describe_teaching(teacher: TeacherConfig | None) -> str:
    if teacher is None:
        return "boxes as annotated, no landmarks"
    name = TEACHERS.get(teacher.detector, teacher.detector)
    if teacher.dense == 1:
        return f"every score, box and landmark taught by {name}, boxes as annotated only choose what is shown"
    share = f", {teacher.dense:.0%} of the loss its answers to every cell" if teacher.dense else ""
    return f"boxes as annotated, landmarks and further faces taught by {name}{share}"


def _make_card(run: Path, config: DetectorConfig, sha256: str) -> dict[str, object]:
    """Describe the graph, its data and its training."""
    provenance = run_folder.read_json(run / run_folder.PROVENANCE)
    return {
        "name": "ferface",
        "version": "1",
        "description": "single-shot, anchor-free face detector with five landmarks",
        "opset": OPSET,
        "sha256": sha256,
        "data": describe_data(config),
        "git_commit": provenance["git_commit"],
        "data_sha256": provenance["data_sha256"],
        "training_config": config.model_dump(mode="json"),
    }

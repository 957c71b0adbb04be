"""Time model folders or ONNX files against MobileNetV2 in FP32 at 112 px: one face, one thread, in turn.

MobileNetV2 is that of training/configs/mobilenetv2.yaml with fresh weights, exported as any model is: times
do not depend on weights. Ratios may be compared between machines of one kind, milliseconds may not.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from fercore.contracts.card import FACE_SIZE
from training.config import load_config
from training.exporting.onnx import to_onnx
from training.learning.provenance import list_cpu_features
from training.measuring.models import find_graph
from training.measuring.timing import TIMED_RUNS, time_graphs
from training.networks.build import Servable, build_network
from training.networks.preprocessing import Preprocessing

REFERENCE = Path(__file__).parent.parent / "configs" / "mobilenetv2.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="model", help="model_repository/emotion_cnn3, or model.onnx"
    )
    parser.add_argument(
        "--runs",
        type=int,
        choices=range(1, 100_001),
        default=TIMED_RUNS,
        metavar="N",
        help="of each; the median counts (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    files = [find_graph(model) for model in options.models]
    face = np.random.default_rng(0).integers(0, 256, (1, FACE_SIZE, FACE_SIZE, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "mobilenetv2.onnx"
        reference.write_bytes(_build_reference())
        times = time_graphs([reference, *files], face, options.runs)
    for name, taken in zip(("MobileNetV2 FP32", *options.models), times, strict=True):
        print(f"{name!s:<40} {taken:8.3f} ms {taken / times[0]:7.3f}x")
    print(f"median of {options.runs} runs of each in turn; CPU {list_cpu_features()}")


def _build_reference() -> bytes:
    config = load_config(REFERENCE)
    network = build_network(config.architecture)
    return to_onnx(Servable(Preprocessing(config.preprocessing), network))

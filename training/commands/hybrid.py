"""Fit a random forest on a network's features and on texture; write REPOSITORY/emotion_<name>/.

The network is that of a run (its best weights), or of a config with pretrained weights, and stays as it is.
The config's section `forest` bounds the forest. The graph must name the same emotion as scikit-learn on at
least 99 % of the validation split, or nothing is written. Its accuracy there is printed with that of the
run's network.
"""

import argparse
from pathlib import Path

import torch

from training.commands import arguments
from training.config import RunConfig, load_config
from training.data.faces import Faces
from training.data.load import load_data
from training.errors import TrainingError
from training.exporting import hybrid
from training.exporting.export import write_model
from training.learning.run_folder import load_run
from training.measuring import graphs
from training.networks.build import Servable, build_initial
from training.networks.preprocessing import Preprocessing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "source", type=Path, help="a run's folder, or a config as training/configs/hybrid.yaml"
    )
    arguments.add_export(parser, usual_name="the config's")
    arguments.add_repository(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    config, servable = _read(options.source)
    if config.forest is None:
        raise TrainingError(f"{options.source} has no section `forest`: see training/configs/hybrid.yaml")
    goal = arguments.read_export(options, config.name, options.repository)
    data = load_data(config.data, options.data)
    extractor = hybrid.FeatureExtractor(servable, config.forest)
    forest = hybrid.fit_hybrid(
        extractor, data.splits["train"], config.forest, seed=config.seed, threads=config.fit.threads
    )
    graph = hybrid.build_graph(extractor, forest, len(data.labels))
    validation = data.splits["validation"]
    expected = hybrid.forest_logits(forest, hybrid.extract_features(extractor, validation), len(data.labels))

    def check(folder: Path) -> None:
        served = graphs.run_folder(folder, validation.crop())
        agreement = hybrid.check_agreement(expected, served)
        print(
            f"the graph and scikit-learn name the same emotion on {agreement:.2%} of {len(validation)} faces"
        )
        print(f"accuracy on {data.name_of('validation')}: forest {_accuracy(served, validation):.4f}", end="")
        if options.source.is_dir():
            network = graphs.run_torch(servable, validation.crop())
            print(f", network {_accuracy(network, validation):.4f}", end="")
        print()

    card = write_model(graph, check, config, data, goal)
    for metric in card.metrics:
        print(f"{metric.name:32} {metric.value:7.4f}  {metric.measured_on}")
    print(f"{len(graph) / 1e6:.1f} MB, {config.forest.trees} trees; wrote {goal.folder}")


def _accuracy(logits: graphs.Logits, faces: Faces) -> float:
    return float((logits.argmax(axis=1) == faces.majority).mean())


def _read(source: Path) -> tuple[RunConfig, Servable]:
    if source.is_dir():
        return load_run(source)
    config = load_config(source)
    torch.manual_seed(config.seed)
    network = build_initial(config.architecture)
    if not any(config.architecture.options.get(source) for source in ("pretrained", "weights_file")):
        print("warning: the network has neither a run nor pretrained weights: its features are random")
    return config, Servable(Preprocessing(config.preprocessing), network.eval())

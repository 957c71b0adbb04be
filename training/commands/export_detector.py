"""Turn a run, or the public PyTorch weights of a detector, into the graphs that its plug-in loads.

They become REPOSITORY/detector_<name>/, replacing all that was there. Each graph must answer as torch does
(1e-4), or nothing is written. `make models` fetches the weights and names this command.
"""

import argparse
import importlib
import pkgutil
from pathlib import Path

from training.commands import arguments
from training.detection import exporters
from training.learning.atomic import atomic_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes; each exporter declares its own."""
    arguments.add_repository(parser)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for module in pkgutil.iter_modules(exporters.__path__):
        exporter = importlib.import_module(f"{exporters.__name__}.{module.name}")
        own = names.add_parser(module.name, help=(exporter.__doc__ or "").splitlines()[0])
        exporter.add_arguments(own)
        own.set_defaults(export=exporter.export)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    graphs: dict[str, bytes] = options.export(options)
    folder: Path = options.repository / f"detector_{options.name}"
    with atomic_folder(folder) as temporary:
        for name, graph in graphs.items():
            (temporary / name).write_bytes(graph)
    for name, graph in graphs.items():
        print(f"wrote {folder / name}, {len(graph)} bytes")

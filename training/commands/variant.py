"""Make an INT8 or FP16 variant of REPOSITORY/emotion_<name> as REPOSITORY/emotion_<name>_<precision>.

INT8 is calibrated on training crops; with --reduce-range it is called <name>_int8_7bit. A variant must give
the label of the original for 99 % of the validation split, or nothing is written; what it loses and gains is
printed, times for one face on one thread here.
"""

import argparse
import os
from pathlib import Path

from fercore.inference.repository import scan_repository
from training.commands import arguments
from training.config import RunConfig
from training.data.load import load_data
from training.errors import TrainingError
from training.exporting.variants import make_variant
from training.learning.provenance import list_cpu_features


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_model(parser)
    parser.add_argument("--precision", choices=("int8", "fp16"), default="int8", help="default: %(default)s")
    parser.add_argument(
        "--reduce-range", action="store_true", help="INT8 weights of 7 bits, for CPUs without VNNI"
    )
    arguments.add_export(parser, usual_name="<name>_<precision>, and _7bit with --reduce-range")


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    if options.reduce_range and options.precision != "int8":
        raise TrainingError(f"--reduce-range is for INT8, not for {options.precision.upper()}")
    folder = options.model.resolve()
    scan = scan_repository(folder.parent)
    found = [model for model in scan.models if model.path == folder]
    if not found:
        reasons = [broken.reason for broken in scan.broken if broken.folder == folder.name]
        raise TrainingError(f"{options.model} is no model folder: {', '.join(reasons) or 'it is not there'}")
    (source,) = found
    usual_name = f"{source.name}_{options.precision}{'_7bit' if options.reduce_range else ''}"
    goal = arguments.read_export(options, usual_name, Path(os.path.relpath(folder.parent)))
    if goal.name == source.name:
        raise TrainingError(f"--name {goal.name} would replace the model that the variant is made of")
    data = load_data(RunConfig.model_validate(source.card.training_config).data, options.data)
    variant = make_variant(
        source.path,
        source.card,
        options.precision,
        reduce_range=options.reduce_range,
        data=data,
        target=goal,
    )
    for metric in variant.card.metrics:
        print(f"{metric.name:32} {metric.value:7.4f}  {metric.measured_on}")
    before, after = variant.face_ms
    print(f"labels equal on {variant.agreement:.2%} of the validation split")
    print(f"accuracy     {variant.accuracy[0]:.4f} -> {variant.accuracy[1]:.4f}")
    print(f"one face     {before:.2f} ms -> {after:.2f} ms ({after / before:.2f}x)")
    print(f"file         {variant.file_bytes[0]} -> {variant.file_bytes[1]} bytes")
    print(f"CPU          {list_cpu_features()}; wrote {goal.folder}")

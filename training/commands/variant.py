"""Make an INT8 or FP16 variant of REPOSITORY/emotion_<name> as REPOSITORY/emotion_<name>_<precision>.

INT8 is calibrated on training crops. A variant must give the label of the original for 99 % of the validation
split, or nothing is written; what it loses and gains is printed, times for one face on one thread here.
"""

import argparse
from pathlib import Path

from fercore.inference.repository import FOLDER_PREFIX, scan_repository
from training.commands import locations
from training.config import RunConfig
from training.errors import TrainingError
from training.export import Export
from training.plugins import load_data
from training.variants import make_variant


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", type=Path, help="a model folder, such as model_repository/emotion_cnn3")
    parser.add_argument("--precision", choices=("int8", "fp16"), default="int8", help="default: %(default)s")
    parser.add_argument("--name", default=None, help="model name (default: <name>_<precision>)")
    parser.add_argument(
        "--reduce-range", action="store_true", help="INT8 weights of 7 bits, for CPUs without VNNI"
    )
    parser.add_argument("--report-test", action="store_true", help="measure the test split too, for the card")
    locations.add_data_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    folder = options.model.resolve()
    scan = scan_repository(folder.parent)
    found = [model for model in scan.models if model.path == folder]
    if not found:
        reasons = [broken.reason for broken in scan.broken if broken.folder == folder.name]
        raise TrainingError(f"{options.model} is no model folder: {', '.join(reasons) or 'it is not there'}")
    (source,) = found
    name = options.name or f"{source.name}_{options.precision}"
    target = Export(
        name=name,
        repository=folder.parent,
        reported=("validation", "test") if options.report_test else ("validation",),
        made_by=f"python -m training variant {FOLDER_PREFIX}{source.name} --precision {options.precision}"
        + (" --reduce-range" if options.reduce_range else ""),
    )
    data = load_data(RunConfig.model_validate(source.card.training_config).data, options.data)
    variant = make_variant(
        source.path,
        source.card,
        options.precision,
        reduce_range=options.reduce_range,
        data=data,
        target=target,
    )
    for metric in variant.card.metrics:
        print(f"{metric.name:32} {metric.value:7.4f}  {metric.measured_on}")
    before, after = variant.face_ms
    print(f"labels equal on {variant.agreement:.2%} of the validation split")
    print(f"accuracy     {variant.accuracy[0]:.4f} -> {variant.accuracy[1]:.4f}")
    print(f"one face     {before:.2f} ms -> {after:.2f} ms ({after / before:.2f}x)")
    print(f"file         {variant.file_bytes[0]} -> {variant.file_bytes[1]} bytes")
    print(f"CPU          {cpu_features()}; wrote {target.folder}")


def cpu_features() -> str:
    """Name what matters for INT8 and half precision among this CPU's flags."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_fp16", "avx512_bf16")
    return ", ".join(flag for flag in wanted if flag in flags) or "none of the flags that matter"

"""Train configs on the same rows with the same budget each, and write one report of them.

A config's epochs are as many as fit into the budget of processor time (on a GPU: of time), at most those it
names; one that is too slow for an epoch is given one. Runs are kept in INTO. After a kill or Ctrl-C the same
command goes on where they were; more configs may be added to it at any time.

The report ranks by the chosen split, with bootstrap intervals, and says which differences are more than
chance. Probabilities are calibrated on the validation split.
"""

import argparse
import os
import re
from pathlib import Path

import torch

from training.commands import arguments
from training.comparing.entry import make_entries
from training.comparing.report import markdown_table, write_comparison
from training.comparing.results import collect
from training.comparing.running import Runner
from training.config import load_config
from training.data.faces import SPLITS
from training.data.load import load_data
from training.errors import TrainingError
from training.learning.provenance import describe_provenance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("configs", type=Path, nargs="+", metavar="config", help="YAML files")
    parser.add_argument(
        "--budget", type=_seconds, default="45m", help="for each run: 90s, 45m, 2h (default: %(default)s)"
    )
    parser.add_argument("--dataset", help="train all on this one (default: the configs', which must agree)")
    parser.add_argument(
        "--seeds",
        type=int,
        choices=range(1, 21),
        default=1,
        metavar="1..20",
        help="runs of each (default: 1)",
    )
    parser.add_argument(
        "--split", choices=SPLITS, default="validation", help="compared on (default: %(default)s)"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        choices=range(1, 129),
        default=1 if torch.cuda.is_available() else os.cpu_count() or 1,
        metavar="N",
        help="runs at a time, each on one core (default: %(default)s)",
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write a page, PNG files, JSON and Markdown here"
    )
    parser.add_argument(
        "--into",
        type=Path,
        default=arguments.RUNS / "compare",
        help="folder of the runs (default: %(default)s)",
    )
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    entries = make_entries(
        [load_config(file) for file in options.configs],
        seeds=options.seeds,
        dataset=options.dataset,
        budget_s=options.budget,
        into=options.into,
    )
    data = load_data(
        entries[0].config.data, options.data
    )  # a fault of it is told once, before anything starts
    for line in data.report():
        print(line)
    runner = Runner(options.data, options.split)
    runner.run(entries, at_once=options.at_once)
    for name, reason in runner.failures.items():
        print(f"{name} failed: {reason}")
    comparison = collect(entries, options.split)
    print(markdown_table(comparison))
    facts = {
        "dataset": entries[0].config.data.name,
        "data_sha256": data.sha256,
        "split": options.split,
        "rows": comparison.outcomes[0].examined.measures.rows,
        "budget_minutes": options.budget / 60,
        "seeds": options.seeds,
        **describe_provenance(options.command_line),
    }
    if options.report:
        write_comparison(options.report, comparison, facts, runner.failures)
        print(f"wrote {options.report}")
    if runner.failures:
        raise TrainingError(
            f"{len(runner.failures)} of {len(entries)} runs failed; the same command tries again"
        )


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 45m or 2h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]

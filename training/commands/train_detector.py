"""Train a face detector as a config file says, into RUNS/<name of the config>/.

Ctrl-C keeps the last whole epoch; --resume goes on from there with the same views as an unbroken run.
"""

import argparse
from dataclasses import replace

import numpy as np

from training.commands import arguments
from training.data.detectors import make_detector
from training.data.load import load_data
from training.detection.config import load_detector_config
from training.detection.dense import load_dense_teacher
from training.detection.fit import fit
from training.detection.pasted import Paste
from training.detection.samples import load_samples
from training.detection.wider import read_wider
from training.learning import run_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_run(parser, "training/configs/detectors/ferface.yaml")
    arguments.add_repository(parser)
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    config = load_detector_config(options.config)
    data = read_wider(options.data / config.data)
    paste = None
    if config.paste:
        pasted = load_data(config.paste.data, options.data)
        data = replace(data, sha256=f"{data.sha256} {pasted.sha256}")
        paste = Paste(pasted.splits["train"].tiles, config.paste.face_share, config.paste.drawn_share)
    teacher = make_detector(config.teacher.detector, options.repository) if config.teacher else None
    dense_teacher = load_dense_teacher(config.teacher, options.repository)
    folder = options.runs / config.name
    run_folder.prepare(folder, config, data, resume=options.resume)
    samples = load_samples(data.scenes, teacher, config.teacher)
    order = np.random.default_rng(config.seed).permutation(len(samples))
    kept_back = max(1, round(config.held_out * len(samples)))
    held_out, taught = ([samples[row] for row in rows] for rows in (order[:kept_back], order[kept_back:]))
    faces = sum(int((~one.is_ignored).sum()) for one in samples)
    print(f"{len(taught)} images to learn from, {len(held_out)} held out, {faces} faces", flush=True)
    progress = fit(config, taught, held_out, folder, dense_teacher=dense_teacher, paste=paste)
    print(f"best: epoch {progress.best_epoch}, held-out loss {progress.lowest_loss:.4f}, in {folder}")

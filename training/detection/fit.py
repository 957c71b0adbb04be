"""Fit a detector to views of scenes: epochs with a cosine schedule, averaged weights, the best epoch kept.

Knows no data folder. An epoch's randomness depends on seed and epoch only, so that a resumed run sees the
same views as an unbroken one.
"""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.detection.config import DetectorConfig
from training.detection.dense import DenseTeacher
from training.detection.exporting import load_weights
from training.detection.losses import Loss, judge, stack
from training.detection.network import FerFace, normalise
from training.detection.pasted import Paste
from training.detection.views import Known, draw_mosaic, draw_view
from training.errors import TrainingError
from training.learning import run_folder
from training.learning.device import autocast, choose_device
from training.learning.epoch import SEED_STRIDE, cosine
from training.learning.state import Progress, State
from training.learning.tensorboard import open_scalars
from training.learning.warm_start import pin

HELD_OUT_VIEWS = 4
"""Of each held-out picture, the same ones after every epoch."""

EXAM_BATCH = 8


def fit(
    config: DetectorConfig,
    known: Sequence[Known],
    held_out: Sequence[Known],
    folder: Path,
    *,
    dense_teacher: DenseTeacher | None = None,
    paste: Paste | None = None,
) -> Progress:
    """Train until the epochs are over; `best.pt` holds averaged weights.

    They are those of the lowest held-out loss, or of the last epoch where the run started from another's.

    A dense teacher counts by its share. Nothing is pasted into the views of the held-out pictures.

    Raises:
        KeyboardInterrupt: stopped by the user; the checkpoint of the last whole epoch stands.
        TrainingError: the loss is no number.
    """
    fitting = config.fit.as_fit()
    device = choose_device(fitting)
    torch.manual_seed(config.seed)
    network = FerFace()
    if config.start_from is not None:
        start_from(network, Path(config.start_from), folder)
    state = State(network.to(device).to(memory_format=torch.channels_last), fitting)
    state.load(folder)
    if config.fit.is_compiled:
        state.network.compile(dynamic=False)
    random = np.random.default_rng(config.seed)
    exam = [
        draw_view(one, max(config.fit.sides_px), random) for one in held_out for _ in range(HELD_OUT_VIEWS)
    ]
    with open_scalars(folder, state.progress.epoch, is_on=True) as scalars:
        while state.progress.epoch < fitting.epochs:
            lr = fitting.lr * cosine(fitting, state.progress.epoch)
            started = time.monotonic()
            figures = _run_epoch(config, state, known, dense_teacher, paste)
            seconds = time.monotonic() - started
            loss = _examine(state.average.network, exam, config, dense_teacher)
            state.progress.epoch += 1
            row = {
                "epoch": float(state.progress.epoch),
                "lr": lr,
                **figures,
                "held_out_loss": round(loss, 4),
                "seconds": round(seconds, 1),
            }
            state.history.append(row)
            print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
            # an ancestor may have learnt what is held out, which then tells little: the last epoch is kept
            if loss < state.progress.lowest_loss or config.start_from is not None:
                state.progress.lowest_loss, state.progress.best_epoch = loss, state.progress.epoch
                best: dict[str, object] = {"network": state.average.network.state_dict()}
                run_folder.save_state(folder / run_folder.BEST, best)
            scalars.write(state.progress.epoch, row)
            state.save(folder)
    return state.progress


def start_from(network: nn.Module, ancestor: Path, run: Path) -> None:
    """Give a detector the best weights of a finished run.

    Args:
        network: is changed.
        ancestor: the finished run's folder.
        run: the folder of the run that is made.

    Raises:
        TrainingError: it is no finished run, one of another network, or not what the run began with.
    """
    weights = cast("dict[str, Tensor]", run_folder.load_state(ancestor / run_folder.BEST)["network"])
    pin(ancestor, run, "start_from")
    load_weights(network, weights, str(ancestor))


def keep_statistics(network: nn.Module) -> None:
    """Let a network that is trained normalise by the statistics that it has, and not change them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _run_epoch(
    config: DetectorConfig,
    state: State,
    known: Sequence[Known],
    dense_teacher: DenseTeacher | None,
    paste: Paste | None,
) -> dict[str, float]:
    fitting, epoch = config.fit.as_fit(), state.progress.epoch
    torch.manual_seed(config.seed * SEED_STRIDE + epoch)
    random = np.random.default_rng([config.seed, epoch])
    steps = len(known) * config.fit.views // fitting.batch_size
    parts = np.zeros(3)
    state.network.train()
    if config.fit.keeps_statistics:
        keep_statistics(state.network)
    batches = _batches(config, known, paste, random, steps)
    title = f"epoch {epoch + 1}/{fitting.epochs}"
    for number, views in enumerate(tqdm(batches, total=steps, desc=title, unit="batch", mininterval=1.0)):
        step = epoch * steps + number
        warmth = min(1.0, 0.1 + 0.9 * step / max(1, fitting.warmup_epochs * steps))
        state.set_lr(fitting.lr * warmth * cosine(fitting, step / steps))
        loss = _judge(state.network, views, config, dense_teacher)
        if not math.isfinite(float(loss.total.detach())):
            raise TrainingError(
                f"the loss is no number in batch {number + 1} of epoch {epoch + 1}: lower fit.lr"
            )
        state.step(loss.total)
        parts += [float(part.detach()) for part in (loss.score, loss.box, loss.landmarks)]
    names = ("score_loss", "box_loss", "landmark_loss")
    return {name: round(float(part), 4) for name, part in zip(names, parts / steps, strict=True)}


def _judge(
    network: nn.Module, views: list[Known], config: DetectorConfig, dense_teacher: DenseTeacher | None
) -> Loss:
    device = next(network.parameters()).device
    with autocast(device, config.fit.precision):
        pictures = normalise(stack(views).to(device))
        maps = network(pictures.contiguous(memory_format=torch.channels_last))
    maps = [part.float().cpu() for part in maps]  # they are small: what is said of them is told on the CPU
    if dense_teacher is None:
        return judge(maps, views)
    told = dense_teacher.judge(maps, views)
    # the other loss takes time, so it is left out where it does not count
    return told if dense_teacher.share == 1 else told.mixed_with(judge(maps, views), dense_teacher.share)


def _batches(
    config: DetectorConfig,
    known: Sequence[Known],
    paste: Paste | None,
    random: np.random.Generator,
    steps: int,
) -> Iterator[list[Known]]:
    """Draw the views of an epoch, the next batch while the last one is learnt."""
    fitting = config.fit
    order = np.concatenate([random.permutation(len(known)) for _ in range(fitting.views)])
    streams = random.spawn(steps)

    def draw(number: int) -> list[Known]:
        stream = streams[number]
        side_px = int(stream.choice(fitting.sides_px))
        count = max(1, round(fitting.batch_size * (fitting.sides_px[0] / side_px) ** 2))
        start = number * fitting.batch_size
        rows = order[start : start + count]
        views = [_draw(known, row, side_px, fitting.mosaic, stream) for row in rows]
        return [paste.into(view, stream) for view in views] if paste else views

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(draw, 0)
        for number in range(steps):
            views = coming.result()
            if number + 1 < steps:
                coming = pool.submit(draw, number + 1)
            yield views


def _draw(
    known: Sequence[Known], row: int, side_px: int, mosaic: float, random: np.random.Generator
) -> Known:
    if random.random() >= mosaic:
        return draw_view(known[row], side_px, random)
    others = random.integers(0, len(known), 3)
    return draw_mosaic([known[row], *(known[other] for other in others)], side_px, random)


def _examine(
    network: nn.Module, exam: list[Known], config: DetectorConfig, dense_teacher: DenseTeacher | None
) -> float:
    network.eval()
    size = EXAM_BATCH
    with torch.no_grad():
        losses = [
            float(_judge(network, exam[start : start + size], config, dense_teacher).total)
            for start in range(0, len(exam), size)
        ]
    return float(np.mean(losses))

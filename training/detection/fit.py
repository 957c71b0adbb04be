"""Train a detector on views of images; the loop is `training.learning.trainer`."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from training.detection.config import DetectorConfig
from training.detection.dense import DenseTeacher
from training.detection.exporting import load_weights
from training.detection.losses import DetectionLoss, detection_loss, stack
from training.detection.network import FerFace, normalise
from training.detection.pasted import Paste
from training.detection.views import Sample, draw_mosaic, draw_view
from training.learning import run_folder
from training.learning.device import autocast, choose_device
from training.learning.state import BestBy, Progress, Row, State, Validation
from training.learning.trainer import Loss, train
from training.learning.warm_start import pin

HELD_OUT_VIEWS = 4
"""Of each held-out image, the same ones after every epoch."""

VALIDATION_BATCH = 8


def fit(
    config: DetectorConfig,
    samples: Sequence[Sample],
    held_out: Sequence[Sample],
    folder: Path,
    *,
    dense_teacher: DenseTeacher | None = None,
    paste: Paste | None = None,
) -> Progress:
    """Train until the epochs are over; `best.pt` holds averaged weights.

    They are those of the lowest held-out loss, or of the last epoch where the run started from another's: an
    ancestor may have been trained on the held-out images, so that their loss means little.

    A dense teacher counts by its share. Nothing is pasted into the views of the held-out images.

    Raises:
        KeyboardInterrupt: stopped by the user; the checkpoint of the last whole epoch is kept.
        TrainingError: the loss is not a number, or the disk is full.
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
    task = DetectorTask(config, samples, held_out, dense_teacher=dense_teacher, paste=paste)
    return train(task, state, fitting, seed=config.seed, folder=folder)


class DetectorTask:
    """Learn boxes, scores and landmarks from random views, drawn anew in each epoch."""

    def __init__(
        self,
        config: DetectorConfig,
        samples: Sequence[Sample],
        held_out: Sequence[Sample],
        *,
        dense_teacher: DenseTeacher | None,
        paste: Paste | None,
    ) -> None:
        self._config = config
        self._samples = samples
        self._dense_teacher = dense_teacher
        self._paste = paste
        random, side_px = np.random.default_rng(config.seed), max(config.fit.sides_px)
        self._held_out = [draw_view(one, side_px, random) for one in held_out for _ in range(HELD_OUT_VIEWS)]
        self.steps = len(samples) * config.fit.views // config.fit.batch_size
        self.best_by: BestBy = "loss" if config.start_from is None else "last"

    def start_epoch(self, network: nn.Module) -> None:
        """Set training mode; batch statistics stay fixed where the config keeps them."""
        network.train()
        if self._config.fit.keeps_statistics:
            freeze_batch_norm(network)

    def batches(self, epoch: int) -> Iterator[list[Sample]]:
        """Draw the views of an epoch, the next batch while the network learns the last one."""
        config, samples = self._config.fit, self._samples
        random = np.random.default_rng([self._config.seed, epoch])
        order = np.concatenate([random.permutation(len(samples)) for _ in range(config.views)])
        streams = random.spawn(self.steps)

        def draw(number: int) -> list[Sample]:
            stream = streams[number]
            side_px = int(stream.choice(config.sides_px))
            count = max(1, round(config.batch_size * (config.sides_px[0] / side_px) ** 2))
            start = number * config.batch_size
            rows = order[start : start + count]
            views = [_draw(samples, row, side_px, config.mosaic, stream) for row in rows]
            return [self._paste.apply(view, stream) for view in views] if self._paste else views

        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(draw, 0)
            for number in range(self.steps):
                views = coming.result()
                if number + 1 < self.steps:
                    coming = pool.submit(draw, number + 1)
                yield views

    def loss(self, network: nn.Module, batch: list[Sample]) -> Loss:
        """Compute the loss of a batch of views."""
        loss = self._loss(network, batch)
        parts = {"score_loss": loss.score, "box_loss": loss.box, "landmark_loss": loss.landmarks}
        return Loss(loss.total, parts)

    def validate(self, network: nn.Module) -> Validation:
        """Measure the loss on the held-out views."""
        network.eval()
        starts = range(0, len(self._held_out), VALIDATION_BATCH)
        with torch.no_grad():
            losses = [
                float(self._loss(network, self._held_out[start : start + VALIDATION_BATCH]).total)
                for start in starts
            ]
        loss = float(np.mean(losses))
        return Validation(loss, -loss, {"held_out_loss": round(loss, 4)})

    def speed(self, seconds: float) -> Row:
        """Return the seconds of the epoch."""
        return {"seconds": round(seconds, 1)}

    def _loss(self, network: nn.Module, views: list[Sample]) -> DetectionLoss:
        device = next(network.parameters()).device
        with autocast(device, self._config.fit.precision):
            images = normalise(stack(views).to(device))
            maps = network(images.contiguous(memory_format=torch.channels_last))
        maps = [part.float().cpu() for part in maps]  # they are small: their loss is computed on the CPU
        teacher = self._dense_teacher
        if teacher is None:
            return detection_loss(maps, views)
        distance = teacher.distance(maps, views)
        # the other loss takes time, so it is left out where it does not count
        return (
            distance if teacher.share == 1 else distance.mix_with(detection_loss(maps, views), teacher.share)
        )


def start_from(network: nn.Module, ancestor: Path, run: Path) -> None:
    """Load the best weights of a finished run into a detector.

    Args:
        network: is changed.
        ancestor: the finished run's folder.
        run: the folder of the run that is made.

    Raises:
        TrainingError: it is not a finished run, one of another network, or not what the run began with.
    """
    weights = cast("dict[str, Tensor]", run_folder.load_state(ancestor / run_folder.BEST)["network"])
    pin(ancestor, run, "start_from")
    load_weights(network, weights, str(ancestor))


def freeze_batch_norm(network: nn.Module) -> None:
    """Keep the running statistics of batch normalisation fixed, and normalise by them, in training."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _draw(
    samples: Sequence[Sample], row: int, side_px: int, mosaic: float, random: np.random.Generator
) -> Sample:
    if random.random() >= mosaic:
        return draw_view(samples[row], side_px, random)
    others = random.integers(0, len(samples), 3)
    return draw_mosaic([samples[row], *(samples[other] for other in others)], side_px, random)

"""A run's figures by epoch as TensorBoard shows them, in the run's folder.

`metrics.csv` holds the same figures and more.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from torch.utils.tensorboard import SummaryWriter

from training.errors import TrainingError

FOLDER = "tensorboard"


class Scalars(Protocol):
    """Takes the figures of an epoch."""

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        """Keep figures by name."""
        ...


class _EventFile:
    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        try:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()
        except OSError as err:
            raise TrainingError(f"{self._writer.log_dir} cannot be written: {err.strerror}") from err


class _Nothing:
    def write(self, epoch: int, figures: dict[str, float]) -> None:
        pass


@contextmanager
def open_scalars(run: Path, epoch: int, *, is_on: bool) -> Iterator[Scalars]:
    """Open a run's event file after an epoch; what it held of later epochs is not shown again.

    Raises:
        TrainingError: for example, the disk is full.
    """
    if not is_on:
        yield _Nothing()
        return
    try:
        writer = SummaryWriter(str(run / FOLDER), purge_step=epoch + 1 if epoch else None)
    except OSError as err:
        raise TrainingError(f"{run / FOLDER} cannot be written: {err.strerror}") from err
    try:
        yield _EventFile(writer)
    finally:
        with suppress(OSError):  # each epoch was flushed, and an error was raised then
            writer.close()

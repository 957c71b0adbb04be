"""TensorBoard finds the figures of each epoch in the run's folder, once."""

import csv
import resource
import threading

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.test_runs import changed, train
from training.errors import TrainingError
from training.learning.state import State
from training.learning.tensorboard import open_scalars

FIT = {"epochs": 3, "batch_size": 16, "threads": 1}


def test_each_epoch_is_there_once_also_after_a_stop(fer, config_file, tmp_path, monkeypatch):
    data, save, epochs = fer.write(), State.save, iter(range(9))

    def stopped_before_the_second_epoch_is_kept(self, folder):
        if next(epochs) == 1:
            raise KeyboardInterrupt
        save(self, folder)

    monkeypatch.setattr(State, "save", stopped_before_the_second_epoch_is_kept)
    train(config_file, data, tmp_path)
    assert train(config_file, data, tmp_path, "--resume") == 0
    shown = EventAccumulator(str(tmp_path / "tiny" / "tensorboard")).Reload()
    with (tmp_path / "tiny" / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in ("lr", "train_loss", "validation_loss", "validation_accuracy"):
        events = shown.Scalars(name)
        assert [event.step for event in events] == [1, 2, 3]
        assert [event.value for event in events] == pytest.approx([float(row[name]) for row in rows])


def test_a_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)  # TensorBoard's own thread ends of it too
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write_until_it_is_full() -> None:
        with open_scalars(tmp_path, 0, is_on=True) as scalars:
            scalars.write(1, {"loss": 1.0})
            resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))
            for epoch in range(2, 200):
                scalars.write(epoch, {"loss": 1.0})

    try:
        with pytest.raises(TrainingError, match="cannot be written"):
            write_until_it_is_full()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_it_can_be_switched_off(fer, config_file, tmp_path):
    config = changed(config_file, fit=FIT | {"tensorboard": False})
    assert train(config, fer.write(), tmp_path) == 0
    assert not (tmp_path / "tiny" / "tensorboard").exists()

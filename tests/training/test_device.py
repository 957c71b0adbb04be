"""A run computes where its config says, or says why not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.config import ArchitectureConfig, FitConfig
from training.detection.config import DetectorConfig, DetectorFit
from training.detection.fit import fit
from training.detection.views import Sample
from training.errors import TrainingError
from training.learning.device import autocast, choose_device
from training.learning.state import State
from training.networks.build import build_network

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@without_cuda
def test_auto_is_the_cpu_where_there_is_nothing_else():
    assert choose_device(FitConfig()).type == "cpu"
    assert choose_device(FitConfig(device="cpu")).type == "cpu"


@without_cuda
def test_cuda_that_is_not_there_is_one_clear_line():
    with pytest.raises(TrainingError, match="no such device"):
        choose_device(FitConfig(device="cuda"))


def test_float16_is_refused_on_the_cpu():
    with pytest.raises(TrainingError, match="bfloat16"):
        choose_device(FitConfig(device="cpu", precision="float16"))


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_networks_compute_in_the_precision(precision, dtype):
    with autocast(torch.device("cpu"), precision):
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == dtype


@needs_cuda
@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
def test_a_step_on_cuda_moves_the_average(precision):
    fitting = FitConfig(device="cuda", precision=precision)
    device = choose_device(fitting)
    state = State(build_network(ArchitectureConfig(name="cnn3")).to(device), fitting)
    with autocast(device, precision):
        logits, _ = state.network(torch.randn(4, 1, 48, 48, device=device))
    state.step(logits.float().square().mean())
    assert state.average.steps == 1


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_a_detector_learns_where_its_config_says(device, tmp_path: Path):
    scene = Sample(
        np.full((64, 64, 3), 90, np.uint8),
        np.array([[10, 10, 50, 50]], np.float32),
        np.full((1, 5, 2), np.nan, np.float32),
        np.array([False]),
    )
    fitting = DetectorFit(epochs=1, views=1, sides_px=(64,), batch_size=2, device=device)
    progress = fit(DetectorConfig(name="tiny", fit=fitting), [scene] * 4, [scene], tmp_path)
    assert (progress.epoch, (tmp_path / "best.pt").is_file()) == (1, True)

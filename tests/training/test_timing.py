"""Times of graphs: in turn, against MobileNetV2, and one clear line when there is nothing to time."""

import time
from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.measuring import timing

TINY = Path("tests/model_repository/emotion_tiny")


def test_models_are_timed_against_mobilenetv2(capsys):
    graph = TINY / "1" / "model.onnx"
    assert main(["time", str(TINY), str(graph), "--runs", "3"]) == 0
    reference, folder, file, runs = capsys.readouterr().out.splitlines()
    assert reference.startswith("MobileNetV2 FP32")
    assert reference.endswith("1.000x")
    assert folder.startswith(str(TINY))
    assert file.startswith(str(graph))
    assert "median of 3 runs" in runs
    times = [float(line.split()[-3]) for line in (reference, folder, file)]
    assert times[0] > 2 * times[1] > 0
    assert float(folder.split()[-1][:-1]) == pytest.approx(times[1] / times[0], abs=0.01)


def test_graphs_run_in_turn_on_one_thread_and_the_median_counts(monkeypatch):
    ran: list[str] = []
    clock = iter(range(1000))

    class Session:
        def __init__(self, file: Path) -> None:
            self.name = file.name

        def run(self, outputs, inputs) -> None:
            ran.append(self.name)
            if self.name == "slow":
                next(clock)

    monkeypatch.setattr(timing, "open_session", Session)
    monkeypatch.setattr(time, "thread_time", lambda: next(clock) / 1000)
    face = np.zeros((1, 112, 112, 3), np.uint8)
    assert timing.time_graphs([Path("quick"), Path("slow")], face, runs=3) == pytest.approx([1, 2])
    assert ran == ["quick", "slow"] * 4  # the first time warms up


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.onnx", None, "there is no file"),
        ("text.onnx", b"text", "no graph that can be timed"),
        ("folder", None, "neither a run nor a model folder"),
    ],
)
def test_what_cannot_be_timed_is_one_clear_line(tmp_path, capsys, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["time", str(tmp_path / name), "--runs", "1"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error

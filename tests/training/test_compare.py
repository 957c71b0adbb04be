"""Configs are trained with one budget each; a killed comparison goes on, a failed run stops no other."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.training.tiny_fer import FerFolder
from training.__main__ import main
from training.comparing.entry import Entry, make_entries, suit_device
from training.comparing.measure import count_macs
from training.comparing.significance import holm, paired_p_values
from training.comparing.worker import time_epoch
from training.config import RunConfig, load_config
from training.data.load import load_data
from training.errors import TrainingError
from training.learning.fit import first_state, prepare_task
from training.learning.run_folder import load_run


@pytest.fixture
def data(fer: FerFolder) -> Path:
    return fer.write()


def write_config(config_file: Path, name: str, **changes: object) -> Path:
    """Write a copy of the tiny config; a section that is changed keeps its other fields."""
    content = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    for section, change in changes.items():
        kept = content.get(section)
        content[section] = (
            {**kept, **change} if isinstance(kept, dict) and isinstance(change, dict) else change
        )
    file = config_file.with_name(f"{name}.yaml")
    file.write_text(yaml.safe_dump(content | {"name": name}), encoding="utf-8")
    return file


def compare(data: Path, into: Path, *arguments: object) -> int:
    always = ("--data", data, "--into", into, "--at-once", 2)
    return main(["compare", *map(str, (*arguments, *always))])


def test_configs_are_trained_on_the_same_rows_and_reported(data, config_file, tmp_path, capsys):
    wide = write_config(config_file, "wide", architecture={"options": {"blocks": [[8], [8], [16]]}})
    report = tmp_path / "report"
    arguments = (
        config_file,
        wide,
        "--seeds",
        2,
        "--budget",
        "1m",
        "--report",
        report,
    )
    assert compare(data, tmp_path / "runs", *arguments) == 0
    out = capsys.readouterr().out
    assert "0 of 4 runs are done" in out
    found = json.loads((report / "comparison.json").read_text(encoding="utf-8"))
    assert set(found["configs"]) == {"tiny", "wide"}
    assert (found["dataset"], found["rows"], found["seeds"]) == ("fer_plus", 70, 2)
    for name, config in found["configs"].items():
        run = tmp_path / "runs" / f"{name}_seed1"
        figures = config["first_run"]
        confusion = np.array(figures["confusion"])
        assert figures["accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum())
        assert set(figures["intervals"]) >= {
            "accuracy",
            "balanced_accuracy",
            "macro_f1",
            "expected_calibration_error",
        }
        assert config["runs"] == 2
        assert config["costs"]["epochs"] == 3
        servable = load_run(run)[1]
        assert config["costs"]["parameters"] == sum(
            weights.numel() for weights in servable.network.parameters()
        )
        assert config["costs"]["macs"] == count_macs(servable)
        assert config["costs"]["face_ms"] > 0
        assert config["costs"]["graph_bytes"] == (run / "model.onnx").stat().st_size
        assert (
            load_config(run / "config.json").seed + 1
            == load_config(tmp_path / "runs" / f"{name}_seed2" / "config.json").seed
        )
    assert 0 < found["p_values"]["tiny"]["wide"] <= 1
    page = (report / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 8
    assert (report / "comparison.md").read_text(encoding="utf-8").count("\n") == 4

    assert compare(data, tmp_path / "runs", *arguments) == 0
    assert "4 of 4 runs are done" in capsys.readouterr().out


def test_a_comparison_that_was_killed_goes_on_to_the_numbers_of_an_unbroken_one(data, config_file, tmp_path):
    long = write_config(config_file, "long", fit={"epochs": 12, "early_stopping_patience": 12})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert compare(data, whole, long, "--budget", "5m") == 0
    command = [sys.executable, "-m", "training", "compare", str(long), "--budget", "5m"]
    process = subprocess.Popen(
        [*command, "--data", str(data), "--into", str(broken)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    metrics, give_up = broken / "long" / "metrics.csv", time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)  # the command and its worker
    process.wait()
    assert not (broken / "long" / "result.json").exists()
    assert compare(data, broken, long, "--budget", "5m") == 0
    weights, again = (load_run(into / "long")[1].state_dict() for into in (whole, broken))
    assert weights
    assert all((weight == again[name]).all() for name, weight in weights.items())


def test_a_run_that_fails_is_told_and_the_others_go_on(data, config_file, tmp_path, capsys):
    wild = write_config(config_file, "wild", fit={"lr": 1e30, "warmup_epochs": 0, "optimizer": "sgd"})
    assert compare(data, tmp_path / "runs", wild, config_file, "--budget", "1m") == 1
    captured = capsys.readouterr()
    assert "wild failed: the training loss is nan" in captured.out
    assert "| tiny |" in captured.out
    assert "1 of 2 runs failed" in captured.err


@pytest.mark.parametrize(
    "case",
    [
        (["nowhere.yaml"], "cannot read the config nowhere.yaml"),
        (["{config}", "{config}"], "two configs are called tiny"),
        (["{config}", "--dataset", "nothing"], "no data set 'nothing'"),
        (["{config}", "{other}"], "name other data than tiny: --dataset names one for all"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(data, config_file, tmp_path, capsys, case):
    arguments, reason = case
    other = write_config(config_file, "other", data={"name": "fer2013"})
    filled = [argument.format(config=config_file, other=other) for argument in arguments]
    assert compare(data, tmp_path / "runs", *filled) == 1
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_budget_is_a_time(data, config_file, tmp_path, capsys):
    with pytest.raises(SystemExit):
        compare(data, tmp_path / "runs", config_file, "--budget", "45")
    assert "no time such as" in capsys.readouterr().err


def test_a_folder_of_another_budget_is_not_gone_on_with(config_file, tmp_path):
    config = load_config(config_file)
    Entry(config, 60, tmp_path / "tiny").request()
    Entry(config, 60, tmp_path / "tiny").request()
    with pytest.raises(TrainingError, match="another config, data set or budget"):
        Entry(config, 61, tmp_path / "tiny").request()


def test_seeds_follow_the_config_s_own(config_file, tmp_path):
    entries = make_entries([load_config(config_file)], seeds=2, dataset=None, budget_s=1, into=tmp_path)
    assert [(entry.config.seed, entry.folder.name) for entry in entries] == [
        (3, "tiny_seed1"),
        (4, "tiny_seed2"),
    ]


def test_one_data_set_may_be_named_for_all(config_file, tmp_path):
    other = load_config(write_config(config_file, "other", data={"name": "fer2013"}))
    configs = [load_config(config_file), other]
    entries = make_entries(configs, seeds=1, dataset="raf_db", budget_s=1, into=tmp_path)
    assert [entry.config.data.name for entry in entries] == ["raf_db", "raf_db"]


def test_a_gpu_gets_larger_batches_and_half_precision(config_file):
    config = load_config(config_file)
    fit = suit_device(config, has_cuda=True).fit
    assert (fit.batch_size, fit.precision) == (256, "bfloat16")
    assert fit.lr == pytest.approx(config.fit.lr * 4)
    assert suit_device(config, has_cuda=False).fit.threads == 1


def test_the_pilot_leaves_the_network_as_it_was(data, config_file, tmp_path):
    config: RunConfig = load_config(config_file)
    faces = load_data(config.data, data)
    task = prepare_task(config, faces.splits["train"], faces.splits["validation"], tmp_path)
    state = first_state(config, task, len(faces.labels), tmp_path)
    before = {name: weight.clone() for name, weight in state.network.state_dict().items()}
    assert time_epoch(task, state) > 0
    assert all((state.network.state_dict()[name] == weight).all() for name, weight in before.items())


def test_a_paired_test_finds_a_small_but_steady_difference_and_no_other():
    random = np.random.default_rng(1)
    base = (random.random(2000) < 0.7).astype(float)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:40]] = 1  # right wherever the other is, and 40 times more
    other = (random.random(2000) < 0.7).astype(float)
    values = holm(paired_p_values([base, better, other]))
    assert values[0, 1] < 0.001
    assert values[0, 2] > 0.05
    np.testing.assert_array_equal(values, values.T)
    assert (np.diag(values) == 1).all()


def test_holm_multiplies_the_smallest_p_value_by_the_number_of_pairs():
    values = np.ones((3, 3))
    for (i, j), value in {(0, 1): 0.01, (0, 2): 0.02, (1, 2): 0.5}.items():
        values[i, j] = values[j, i] = value
    corrected = holm(values)
    assert [corrected[0, 1], corrected[0, 2], corrected[1, 2]] == pytest.approx([0.03, 0.04, 0.5])

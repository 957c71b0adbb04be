"""Training through the command line: repeatable, resumable, and clear when something is wrong."""

import csv
import json
import resource
from pathlib import Path

import pytest
import torch
import yaml

from tests.training.tiny_fer import FerFolder
from training.__main__ import COMMANDS, STOPPED, main
from training.config import FitConfig, load_config
from training.detection.config import load_detector_config
from training.errors import TrainingError
from training.learning import fit as fitting
from training.learning.prepared import Prepared
from training.networks.build import build_network

TIMED = "faces_per_second"


def train(config: Path, data: Path, runs: Path, *more: str) -> int:
    return main(["train", str(config), "--data", str(data), "--runs", str(runs), *more])


def figures(runs: Path) -> list[dict[str, str]]:
    with (runs / "tiny" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != TIMED} for row in csv.DictReader(file)]


def best_weights(runs: Path) -> dict[str, torch.Tensor]:
    return torch.load(runs / "tiny" / "best.pt")["network"]


def changed(config: Path, **values: object) -> Path:
    content = yaml.safe_load(config.read_text(encoding="utf-8")) | values
    path = config.with_name("changed.yaml")
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


EVERY_CHOICE = {
    "data": {"name": "fer_plus", "targets": "multi_label"},
    "augmentation": {"shear_degrees": 8, "noise": 0.05, "mixup": 0.4},
    "balancing": {
        "loss_exponent": 0.2, "sampling_exponent": 0.5, "logit_adjustment": 0.3, "rare_strength": 1.5,
    },
    "fit": {
        "epochs": 3, "batch_size": 16, "threads": 1,
        "loss": "best_admissible", "best_by": "balanced_accuracy",
    },
}  # fmt: skip
either_config = pytest.mark.parametrize("choice", [{}, EVERY_CHOICE], ids=["plain", "every_choice"])


@either_config
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(
    fer: FerFolder, config_file, tmp_path, choice
):
    data = fer.write()
    config_file = changed(config_file, **choice)
    assert train(config_file, data, tmp_path / "a") == 0
    assert train(config_file, data, tmp_path / "b") == 0
    assert train(changed(config_file, seed=4), data, tmp_path / "c") == 0
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    assert figures(tmp_path / "a") != figures(tmp_path / "c")
    assert len(figures(tmp_path / "a")) == 3


@either_config
def test_a_resumed_run_gives_the_same_numbers_as_an_unbroken_one(
    fer: FerFolder, config_file, tmp_path, monkeypatch, choice
):
    data = fer.write()
    config_file = changed(config_file, **choice)
    assert train(config_file, data, tmp_path / "whole") == 0

    validated = iter([None, KeyboardInterrupt])
    validate = fitting.validate

    def stopped_in_the_second_epoch(*arguments, **named):
        if fault := next(validated, None):
            raise fault
        return validate(*arguments, **named)

    monkeypatch.setattr(fitting, "validate", stopped_in_the_second_epoch)
    assert train(config_file, data, tmp_path / "broken") == STOPPED
    assert len(figures(tmp_path / "broken")) == 1
    assert train(config_file, data, tmp_path / "broken", "--resume") == 0
    assert figures(tmp_path / "broken") == figures(tmp_path / "whole")
    for name, weight in best_weights(tmp_path / "whole").items():
        torch.testing.assert_close(best_weights(tmp_path / "broken")[name], weight, rtol=0, atol=0)


def test_training_learns(fer: FerFolder, config_file, tmp_path):
    patient = {"early_stopping_patience": 30, "plateau": {"patience": 30}}
    config = changed(config_file, fit={"epochs": 25, "batch_size": 8, "threads": 1, "lr": 0.01, **patient})
    assert train(config, fer.write(), tmp_path) == 0
    assert max(float(row["validation_accuracy"]) for row in figures(tmp_path)) > 0.5


def test_a_cosine_schedule_ends_at_zero(fer: FerFolder, config_file, tmp_path):
    fit = {"epochs": 4, "batch_size": 16, "threads": 1, "lr": 0.01, "schedule": "cosine", "warmup_epochs": 0}
    assert train(changed(config_file, fit=fit), fer.write(), tmp_path) == 0
    rates = [float(row["lr"]) for row in figures(tmp_path)]
    assert rates == pytest.approx([0.01, 0.00853553, 0.005, 0.00146447], rel=1e-4)


@pytest.mark.parametrize("name", sorted(path.stem for path in Path("training/configs").glob("*.yaml")))
def test_every_committed_config_names_things_that_exist(name):
    config = load_config(Path(f"training/configs/{name}.yaml"))
    assert config.name == name
    network = build_network(config.architecture)
    side = config.preprocessing.size
    logits, features = network.eval()(torch.zeros(2, 1, side, side))
    assert logits.shape == (2, 8)
    assert features.ndim == 4


@pytest.mark.parametrize(
    "path", sorted(Path("training/configs/detectors").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_committed_config_of_a_detector_is_one(path):
    config = load_detector_config(path)
    assert config.name == path.stem
    before = config.start_from
    assert before is None or Path(f"training/configs/detectors/{Path(before).name}.yaml").is_file()


def test_early_stopping_keeps_the_best_epoch(fer: FerFolder, config_file, tmp_path, monkeypatch):
    accuracies = iter([0.5, 0.7, 0.6, 0.6, 0.9])
    monkeypatch.setattr(fitting, "validate", lambda *_: (1.0, next(accuracies)))
    config = changed(config_file, fit={"epochs": 9, "early_stopping_patience": 2, "threads": 1})
    assert train(config, fer.write(), tmp_path) == 0
    assert [row["validation_accuracy"] for row in figures(tmp_path)] == ["0.5", "0.7", "0.6", "0.6"]
    checkpoint = torch.load(tmp_path / "tiny" / "checkpoint.pt")
    assert checkpoint["progress"]["best_epoch"] == 2
    last, best = checkpoint["average"]["head.weight"], best_weights(tmp_path)["head.weight"]
    assert not torch.equal(last, best)


class Always(torch.nn.Module):
    """Answers the first label of three."""

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([[1.0, 0.0, 0.0]]).repeat(len(faces), 1), faces


@pytest.mark.parametrize(("best_by", "score"), [("accuracy", 0.75), ("balanced_accuracy", 0.5)])
def test_the_best_epoch_may_be_chosen_by_mean_recall(best_by, score):
    majority = torch.tensor([0, 0, 0, 2])
    split = Prepared(torch.zeros(4, 1, 2, 2), torch.nn.functional.one_hot(majority, 3).float(), majority)
    loss, accuracy = fitting.validate(Always(), split, FitConfig(best_by=best_by))
    assert accuracy == score
    assert loss > 0


def test_the_learning_rate_falls_when_the_loss_no_longer_does(
    fer: FerFolder, config_file, tmp_path, monkeypatch
):
    losses = iter([1.0, 0.9, 0.899, 0.898, 0.5, 0.4])
    monkeypatch.setattr(fitting, "validate", lambda *_: (next(losses), 0.5))
    plateau = {"factor": 0.5, "patience": 1, "min_gain": 0.01}
    config = changed(config_file, fit={"epochs": 6, "lr": 0.01, "plateau": plateau, "threads": 1,
                                       "early_stopping_patience": 9})  # fmt: skip
    assert train(config, fer.write(), tmp_path) == 0
    assert [float(row["lr"]) for row in figures(tmp_path)] == [0.01] * 4 + [0.005] * 2


def test_a_run_records_config_commit_data_and_labels(fer: FerFolder, config_file, tmp_path):
    assert train(config_file, fer.write(), tmp_path) == 0
    folder = tmp_path / "tiny"
    assert load_config(folder / "config.json") == load_config(config_file)
    provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert set(provenance) == {"git_commit", "data_sha256", "labels"}
    assert not list(folder.glob("*.partial"))


@pytest.fixture
def run(fer: FerFolder, config_file: Path, tmp_path: Path) -> Path:
    """A finished run's folder, next to its data."""
    assert train(config_file, fer.write(), tmp_path) == 0
    return tmp_path / "tiny"


def one_line_error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_run_is_not_overwritten_unless_resumed(fer: FerFolder, config_file, tmp_path, capsys):
    data = fer.write()
    assert train(config_file, data, tmp_path) == 0
    assert train(config_file, data, tmp_path) == 1
    assert "--resume" in one_line_error(capsys)


def test_a_run_is_not_resumed_with_another_config_or_other_data(
    fer: FerFolder, config_file, tmp_path, capsys
):
    data = fer.write()
    assert train(config_file, data, tmp_path) == 0
    assert train(changed(config_file, seed=9), data, tmp_path, "--resume") == 1
    assert "another config" in one_line_error(capsys)
    fer.votes[0]["NF"] = 1
    assert train(config_file, fer.write(), tmp_path, "--resume") == 1
    assert "other data" in one_line_error(capsys)


def test_a_loss_that_is_no_number_is_one_clear_line(fer: FerFolder, config_file, tmp_path, capsys):
    fit = {"epochs": 3, "batch_size": 16, "threads": 1, "lr": 1e30, "warmup_epochs": 0, "optimizer": "sgd"}
    assert train(changed(config_file, fit=fit), fer.write(), tmp_path) == 1
    assert "training loss is nan in batch" in one_line_error(capsys)


def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_afterwards(
    fer: FerFolder, config_file, tmp_path, monkeypatch, capsys
):
    data = fer.write()
    assert train(config_file, data, tmp_path / "whole") == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    validate, epochs = fitting.validate, iter(range(9))

    def with_a_disk_full_in_the_second_epoch(*arguments):
        if next(epochs) == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        return validate(*arguments)

    monkeypatch.setattr(fitting, "validate", with_a_disk_full_in_the_second_epoch)
    try:
        assert train(config_file, data, tmp_path / "broken") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written" in one_line_error(capsys)
    assert not list((tmp_path / "broken").rglob("*.partial"))
    assert train(config_file, data, tmp_path / "broken", "--resume") == 0
    assert figures(tmp_path / "broken") == figures(tmp_path / "whole")


def test_a_run_s_folder_that_cannot_be_made_is_one_clear_line(fer: FerFolder, config_file, tmp_path, capsys):
    (tmp_path / "runs").write_text("a file")
    assert train(config_file, fer.write(), tmp_path / "runs") == 1
    assert one_line_error(capsys) == f"error: {tmp_path / 'runs' / 'tiny'}: Not a directory"


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["best.pt", "checkpoint.pt", "config.json", "provenance.json"])
def test_a_file_of_a_run_that_was_cut_short_is_one_clear_line(run, config_file, capsys, name, share):
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: int(share * len(content))])
    capsys.readouterr()
    data = run.parent / "data"
    if name != "checkpoint.pt":
        assert main(["evaluate", str(run), "--data", str(data)]) == 1
        assert one_line_error(capsys).startswith(f"error: {run / name}")
    if name != "best.pt":
        assert train(config_file, data, run.parent, "--resume") == 1
        assert one_line_error(capsys).startswith(f"error: {run / name} cannot be read: cut short, ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("best.pt", b"{}" * 99, "best.pt cannot be read"),
        ("config.json", b"\xff\xfe", "config.json is not YAML"),
        ("provenance.json", b"[]", "provenance.json cannot be read: it is no table of values by name"),
        ("provenance.json", b'{"labels": ["glad"]}', "provenance.json cannot be read: its labels are no"),
        ("provenance.json", b'{"labels": ["anger"]}', "best.pt does not fit the network of config.json"),
    ],
)
def test_a_file_of_a_run_that_is_something_else_is_one_clear_line(run, capsys, name, content, message):
    (run / name).write_bytes(content)
    assert main(["evaluate", str(run), "--data", str(run.parent / "data")]) == 1
    assert message in one_line_error(capsys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"seed": -1}, "seed"),
        ({"data": {"name": "nowhere"}}, "fer2013, fer_plus"),
        ({"architecture": {"name": "nothing"}}, "there are: cnn3"),
        ({"architecture": {"name": "cnn3", "options": {"blocks": [[4]]}}}, "blocks"),
    ],
)
def test_a_wrong_config_is_one_clear_line(config_file, tmp_path, capsys, change, message):
    data = FerFolder(tmp_path / "data").write()
    assert train(changed(config_file, **change), data, tmp_path) == 1
    assert message in one_line_error(capsys)


def test_a_missing_config_or_data_folder_is_one_clear_line(config_file, tmp_path, capsys):
    assert train(tmp_path / "none.yaml", tmp_path, tmp_path) == 1
    assert "none.yaml" in one_line_error(capsys)
    assert train(config_file, tmp_path / "nodata", tmp_path) == 1
    assert "--data" in one_line_error(capsys)


def test_a_config_that_is_no_yaml_is_refused(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(TrainingError, match="not YAML"):
        load_config(tmp_path / "bad.yaml")


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)], ids=" ".join)
def test_every_command_explains_itself(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    assert "usage: python -m training" in capsys.readouterr().out

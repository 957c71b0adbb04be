"""Runs that take over from a finished one: start from it, learn from its answers, or prune it."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.training.test_runs import best_weights, changed, figures, one_line_error, train
from tests.training.tiny_fer import FerFolder
from training.__main__ import STOPPED, main
from training.learning import fit as fitting
from training.learning.augmentation import Mixture
from training.learning.distillation import Teacher, TeacherEnsemble, distance
from training.learning.pruning import narrow
from training.networks.architectures import small_resnet

FIT = {"epochs": 2, "batch_size": 16, "threads": 1, "precision": "float32"}


@pytest.fixture
def data(fer) -> Path:
    return fer.write()


@pytest.fixture
def ancestor(data, config_file, tmp_path) -> Path:
    """A finished run of another seed."""
    assert train(changed(config_file, seed=8), data, tmp_path / "ancestors") == 0
    return tmp_path / "ancestors" / "tiny"


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "best.pt")["network"]


def same_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(weight, right[name]) for name, weight in left.items())


def test_a_run_starts_from_the_best_weights_of_another(data, config_file, ancestor, tmp_path):
    still = FIT | {"epochs": 1, "lr": 1e-12, "weight_decay": 0, "warmup_epochs": 0}
    config = changed(config_file, start_from=str(ancestor), fit=still)
    assert train(config, data, tmp_path) == 0
    torch.testing.assert_close(best_weights(tmp_path)["head.weight"], weights_of(ancestor)["head.weight"])


def test_weights_of_another_architecture_are_refused(data, config_file, ancestor, tmp_path, capsys):
    wider = {"name": "cnn3", "options": {"blocks": [[6], [6], [8]], "dropout": 0.1}}
    config = changed(config_file, start_from=str(ancestor), architecture=wider)
    assert train(config, data, tmp_path) == 1
    assert "do not fit" in one_line_error(capsys)


@pytest.fixture
def data_of_seven(tmp_path) -> Path:
    """FER2013 with its own seven labels, all of them in every split."""
    fer = FerFolder(tmp_path / "seven")
    for row, label in enumerate(fer.labels):
        label["emotion"] = row % 7
    return fer.write()


def test_a_run_with_other_labels_starts_from_all_weights_but_the_heads(
    data_of_seven, config_file, ancestor, tmp_path, capsys
):
    still = FIT | {"epochs": 1, "lr": 1e-12, "weight_decay": 0, "warmup_epochs": 0}
    config = changed(config_file, start_from=str(ancestor), fit=still, data={"name": "fer2013"})
    assert train(config, data_of_seven, tmp_path) == 0
    assert "other labels, so head.weight, head.bias start afresh" in capsys.readouterr().out
    before, after = weights_of(ancestor), best_weights(tmp_path)
    assert after["head.weight"].shape == (7, 8)
    taken = [name for name in before if name.endswith(("weight", "bias")) and "head" not in name]
    assert taken
    for name in taken:
        torch.testing.assert_close(after[name], before[name], msg=name)


def test_as_many_labels_that_mean_others_are_other_labels(data, config_file, ancestor, tmp_path):
    provenance = json.loads((ancestor / "provenance.json").read_text(encoding="utf-8"))
    provenance["labels"].reverse()
    (ancestor / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    still = FIT | {"epochs": 1, "lr": 1e-12, "weight_decay": 0, "warmup_epochs": 0}
    assert train(changed(config_file, start_from=str(ancestor), fit=still), data, tmp_path) == 0
    assert not torch.allclose(best_weights(tmp_path)["head.weight"], weights_of(ancestor)["head.weight"])


def test_a_teacher_with_other_labels_is_refused(data_of_seven, config_file, ancestor, tmp_path, capsys):
    config = changed(
        config_file, data={"name": "fer2013"}, distillation={"teacher": str(ancestor), "view": "same"}
    )
    assert train(config, data_of_seven, tmp_path) == 1
    assert "other labels" in one_line_error(capsys)


def inheriting(kind: str, ancestor: Path) -> dict[str, object]:
    configs: dict[str, dict[str, object]] = {
        "same": {"distillation": {"teacher": str(ancestor), "view": "same"}},
        "clean": {
            "distillation": {"teacher": str(ancestor), "view": "clean"},
            "augmentation": {"mixup": 0.3},
        },
        "ensemble": {"distillation": {"teacher": [str(ancestor), str(ancestor)], "weight": 0.5}},
        "pruning": {"start_from": str(ancestor), "pruning": {"sparsity": 0.6}},
        "narrowing": {
            "start_from": str(ancestor),
            "pruning": {"channels": True},
            "architecture": {"name": "cnn3", "options": {"blocks": [[3], [2], [8]], "dropout": 0.1}},
        },
    }
    return configs[kind]


@pytest.mark.parametrize("kind", ["same", "clean", "ensemble", "pruning", "narrowing"])
def test_what_is_inherited_resumes_exactly(data, config_file, ancestor, kind, monkeypatch):
    tmp_path = ancestor.parent.parent
    config = changed(config_file, fit=FIT, **inheriting(kind, ancestor))
    assert train(config, data, tmp_path / "whole") == 0
    assert train(changed(config_file, fit=FIT), data, tmp_path / "plain") == 0
    assert figures(tmp_path / "plain") != figures(tmp_path / "whole")

    config = changed(config_file, fit=FIT, **inheriting(kind, ancestor))
    validate, validated = fitting.validate, []

    def stopped_in_the_second_epoch(*arguments):
        validated.append(arguments)
        if len(validated) == 2:
            raise KeyboardInterrupt
        return validate(*arguments)

    monkeypatch.setattr(fitting, "validate", stopped_in_the_second_epoch)
    assert train(config, data, tmp_path / "broken") == STOPPED
    assert train(config, data, tmp_path / "broken", "--resume") == 0
    assert figures(tmp_path / "broken") == figures(tmp_path / "whole")
    assert same_weights(best_weights(tmp_path / "broken"), best_weights(tmp_path / "whole"))


def test_a_teacher_that_has_changed_since_is_refused(data, config_file, ancestor, tmp_path, capsys):
    config = changed(config_file, fit=FIT, **inheriting("same", ancestor))
    assert train(config, data, tmp_path) == 0
    state = torch.load(ancestor / "best.pt")
    state["network"]["head.bias"] += 1
    torch.save(state, ancestor / "best.pt")
    assert train(config, data, tmp_path, "--resume") == 1
    assert "has changed" in one_line_error(capsys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distillation": {"teacher": "nowhere"}}, "cannot read"),
        ({"pruning": {"sparsity": 0.5}}, "start_from"),
        ({"pruning": {"sparsity": 1.0}, "start_from": "a"}, "sparsity"),
        ({"pruning": {}, "start_from": "a"}, "channels: true"),
        ({"pruning": {"sparsity": 0.5, "channels": True}, "start_from": "a"}, "channels: true"),
    ],
)
def test_what_cannot_be_inherited_is_one_clear_line(data, config_file, capsys, change, message):
    assert train(changed(config_file, **change), data, data.parent) == 1
    assert message in one_line_error(capsys)


def test_a_teacher_that_sees_faces_otherwise_answers_clean_ones_only(
    data, config_file, ancestor, tmp_path, capsys
):
    smaller = {"size": 32}
    config = changed(config_file, fit=FIT, preprocessing=smaller, **inheriting("same", ancestor))
    assert train(config, data, tmp_path) == 1
    assert "view: clean" in one_line_error(capsys)
    config = changed(config_file, fit=FIT, preprocessing=smaller, **inheriting("clean", ancestor))
    assert train(config, data, tmp_path) == 0


def test_several_teachers_answer_by_their_mean_probability():
    class Sure(torch.nn.Module):
        def __init__(self, label: int) -> None:
            super().__init__()
            self.logits = 9 * F.one_hot(torch.tensor([label]), 3).float()

        def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, None]:
            return self.logits.expand(len(faces), 3), None

    answer, _ = TeacherEnsemble([Sure(0), Sure(1)])(torch.zeros(2, 1, 4, 4))
    torch.testing.assert_close(answer.exp().sum(dim=1), torch.ones(2))
    torch.testing.assert_close(answer.exp()[0], torch.tensor([0.5, 0.5, 0.0]), atol=1e-3, rtol=0)


def test_a_student_learns_the_softened_answers_of_teachers():
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    expected = (
        F.softmax(teacher / 2, 1) * (F.log_softmax(teacher / 2, 1) - F.log_softmax(student / 2, 1))
    ).sum(1)
    torch.testing.assert_close(distance(student, teacher, 2.0), 4 * expected)
    torch.testing.assert_close(distance(teacher, teacher + 3, 5.0), torch.zeros(4), atol=1e-5, rtol=0)
    rows = torch.tensor([2, 0])
    batch = Mixture(torch.zeros(2, 1, 4, 4), rows, None, torch.ones(2))
    answering = Teacher(torch.nn.Identity(), teacher, temperature=2.0, precision="float32")
    torch.testing.assert_close(answering.loss(student[:2], batch), 4 * F.kl_div(
        F.log_softmax(student[:2] / 2, 1), F.softmax(teacher[rows] / 2, 1), reduction="batchmean"
    ))  # fmt: skip


def test_the_least_weights_are_zero_and_stay_so(data, config_file, ancestor, tmp_path):
    config = changed(config_file, fit=FIT, **inheriting("pruning", ancestor))
    assert train(config, data, tmp_path) == 0
    before, after = weights_of(ancestor), best_weights(tmp_path)
    names = [name for name, weight in before.items() if weight.ndim > 1]
    bound = torch.cat([before[name].abs().flatten() for name in names]).quantile(0.6)
    for name in names:
        assert torch.equal(after[name] == 0, before[name].abs() < bound), name
    report = json.loads((tmp_path / "tiny" / "pruning.json").read_text(encoding="utf-8"))
    assert report["sparsity"] == pytest.approx(0.6, abs=0.01)
    assert report["onnx_deflated_bytes"] < report["onnx_bytes"]


def test_channels_that_add_nothing_can_be_left_out_without_a_change():
    torch.manual_seed(0)
    options: dict[str, object] = {"stem": [4, 4], "widths": [4, 8], "blocks": 1}
    wide = small_resnet.build(8, options).eval()
    narrower = small_resnet.build(8, options | {"stem": [3, 4], "inner": [2, 5]}).eval()
    for layer in wide.modules():  # as after some training: no mean is 0, no scale is 1
        if isinstance(layer, torch.nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                tensor.uniform_(0.5, 1.5)
    weights = wide.state_dict()
    idle = {"body.0": [2], "body.6.convolutions.0": [0, 3], "body.7.convolutions.0": [1, 6, 7]}
    for name, channels in idle.items():
        norm = name.removesuffix("0") + str(int(name[-1]) + 1)
        for tensor in (weights[f"{name}.weight"], weights[f"{norm}.bias"], weights[f"{norm}.running_mean"]):
            tensor[channels] = 0
    narrower.load_state_dict(narrow(weights, narrower))
    faces = torch.randn(3, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(narrower(faces), wide(faces))


def test_a_narrower_run_is_a_smaller_graph(data, config_file, ancestor, tmp_path):
    config = changed(config_file, fit=FIT, **inheriting("narrowing", ancestor))
    assert train(config, data, tmp_path) == 0
    sizes = []
    for run in (ancestor, tmp_path / "tiny"):
        assert main(["export", str(run), "--data", str(data), "--repository", str(run / "models")]) == 0
        sizes.append((run / "models" / "emotion_tiny" / "1" / "model.onnx").stat().st_size)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("blocks", [[[5], [4], [8]], [[4], [4], [6]]], ids=["wider", "other_features"])
def test_only_channels_between_convolutions_are_left_out(data, config_file, ancestor, capsys, blocks):
    inherited = inheriting("narrowing", ancestor)
    inherited["architecture"] = {"name": "cnn3", "options": {"blocks": blocks}}
    assert train(changed(config_file, fit=FIT, **inherited), data, ancestor.parent.parent) == 1
    assert "do not fit" in one_line_error(capsys)

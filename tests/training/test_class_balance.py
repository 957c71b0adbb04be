"""Rare emotions are made to count as the config says, and not otherwise."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import ValidationError

from training.config import BalancingConfig, RunConfig
from training.errors import TrainingError
from training.learning.class_balance import Balance
from training.learning.losses import TargetLoss, best_admissible

COUNTS = (60, 30, 10)


def targets() -> torch.Tensor:
    return F.one_hot(torch.arange(3).repeat_interleave(torch.tensor(COUNTS)), 3).float()


def config(**parts: object) -> RunConfig:
    return RunConfig.model_validate(
        {"name": "a", "data": {"name": "fer_plus"}, "architecture": {"name": "cnn3"}} | parts
    )


def target_loss(**balancing: float) -> TargetLoss:
    chosen = config(balancing=balancing)
    return TargetLoss(chosen, Balance(targets(), chosen.balancing))


def test_without_balancing_each_face_comes_once_and_weighs_the_same():
    balance = Balance(targets(), BalancingConfig())
    assert sorted(balance.draw_rows().tolist()) == list(range(100))
    assert balance.weights.tolist() == [1, 1, 1]
    assert balance.strengths.unique().tolist() == [1]
    logits = torch.randn(100, 3)
    torch.testing.assert_close(target_loss()(logits, targets()).mean(), F.cross_entropy(logits, targets()))


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_sampling_draws_each_emotion_by_its_power(exponent):
    torch.manual_seed(0)
    balance = Balance(targets(), BalancingConfig(sampling_exponent=exponent))
    drawn = torch.cat([balance.draw_rows() for _ in range(200)])
    powers = torch.tensor(COUNTS) ** (1 - exponent)
    shown = targets()[drawn].mean(dim=0)
    torch.testing.assert_close(shown, powers / powers.sum(), atol=0.015, rtol=0)
    torch.testing.assert_close(balance.shares, powers / powers.sum())


def test_weights_are_inverse_shares_of_mean_one():
    balance = Balance(targets(), BalancingConfig(loss_exponent=1))
    torch.testing.assert_close(balance.weights * torch.tensor(COUNTS), torch.full((3,), 100 / 3))
    losses = target_loss(loss_exponent=1)(torch.zeros(100, 3), targets())
    assert float(losses[-1] / losses[0]) == pytest.approx(6)


def test_logit_adjustment_lets_bare_logits_answer_for_equal_shares():
    # with equal logits for all, the adjusted loss is already that of the shares: nothing is to be learnt
    logits = torch.zeros(100, 3, requires_grad=True)
    target_loss(logit_adjustment=1)(logits, targets()).mean().backward()
    torch.testing.assert_close(logits.grad.sum(dim=0), torch.zeros(3), atol=1e-6, rtol=0)
    plain = torch.zeros(100, 3, requires_grad=True)
    target_loss()(plain, targets()).mean().backward()
    assert plain.grad.sum(dim=0).abs().max() > 0.1


def test_the_rarest_emotion_is_augmented_most():
    balance = Balance(targets(), BalancingConfig(rare_strength=2))
    assert balance.strengths[[0, 60, 99]].tolist() == pytest.approx([1, 1.6, 2])


def test_balancing_refuses_a_label_without_faces():
    gap = torch.cat([targets(), torch.zeros(100, 1)], dim=1)
    with pytest.raises(TrainingError, match="none of \\[3\\]"):
        Balance(gap, BalancingConfig(loss_exponent=1))
    Balance(gap, BalancingConfig())


def test_any_admissible_label_is_a_right_answer():
    logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    admissible = torch.tensor([[0.5, 0.5, 0.0]]).repeat(3, 1)
    losses = best_admissible(logits, admissible)
    expected = F.cross_entropy(logits, torch.tensor([0, 1, 0]), reduction="none")
    torch.testing.assert_close(losses, expected)
    doubled = best_admissible(logits, admissible, torch.tensor([1.0, 2.0, 1.0]))
    torch.testing.assert_close(doubled, expected * torch.tensor([1.0, 2.0, 1.0]))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"fit": {"loss": "best_admissible"}}, "multi_label"),
        (
            {
                "fit": {"loss": "best_admissible", "label_smoothing": 0.1},
                "data": {"name": "fer_plus", "targets": "multi_label"},
            },
            "label_smoothing",
        ),
        ({"balancing": {"sampling_exponent": 1.5}}, "sampling_exponent"),
    ],
)
def test_what_does_not_fit_together_is_refused(parts, message):
    with pytest.raises(ValidationError, match=message):
        config(**parts)


def test_a_config_without_the_new_choices_keeps_its_json():
    sections = config().model_dump(mode="json")
    assert set(sections) == {
        "name", "seed", "data", "architecture", "preprocessing", "augmentation", "fit",
    }  # fmt: skip
    assert "mixup" not in sections["augmentation"]
    assert "loss" not in sections["fit"]

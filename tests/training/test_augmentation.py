"""Each random change does what its name says, and no more than its strength."""

import pytest
import torch

from training.config import AugmentationConfig
from training.learning.augmentation import augment, mix_up

STILL = {
    "flip": 0, "rotation_degrees": 0, "zoom": 0, "shift": 0, "brightness": 0, "contrast": 0, "erase": 0,
}  # fmt: skip


def changed(faces: torch.Tensor, strengths: torch.Tensor | None = None, **choice: float) -> torch.Tensor:
    torch.manual_seed(1)
    config = AugmentationConfig.model_validate(STILL | choice)
    return augment(faces, config, full_scale=4.0, strengths=strengths)


def test_without_strength_a_face_stays_as_it_is():
    faces = torch.randn(5, 1, 16, 16)
    torch.testing.assert_close(changed(faces), faces, atol=1e-5, rtol=0)


def test_shear_moves_rows_sideways_and_against_each_other():
    rows = torch.arange(32.0)[:, None].expand(32, 32)
    columns = rows.T
    faces = torch.stack([rows, columns])[:, None].repeat(20, 1, 1, 1)
    out = changed(faces, shear_degrees=20)
    torch.testing.assert_close(out[0::2], faces[0::2], atol=1e-3, rtol=0)  # each row keeps its height
    middle = out[1::2, 0, :, 16]  # the column that lands in the middle, by height
    offsets = (middle[:, 24] - middle[:, 8]).abs() / 16
    assert float(offsets.max()) <= float(torch.tan(torch.deg2rad(torch.tensor(20.0)))) + 1e-3
    assert float(offsets.max()) > 0.1
    torch.testing.assert_close(middle[:, 15] + middle[:, 16], torch.full((20,), 32.0), atol=1.1, rtol=0)


def test_noise_is_gaussian_of_at_most_the_given_deviation():
    out = changed(torch.zeros(200, 1, 24, 24), noise=0.1)
    deviations = out.flatten(1).std(dim=1)
    assert 0.35 < float(deviations.max()) <= 0.4 * 1.1
    assert float(deviations.mean()) == pytest.approx(0.2, abs=0.03)
    assert abs(float(out.mean())) < 0.01


def test_a_strength_above_one_changes_a_face_more():
    faces = torch.zeros(400, 1, 8, 8)
    strengths = torch.where(torch.arange(400) < 200, 1.0, 2.0)
    out = changed(faces, strengths, brightness=0.2).mean(dim=(1, 2, 3)).abs()
    assert float(out[:200].max()) <= 0.8
    assert 1.2 < float(out[200:].max()) <= 1.6


def test_mixup_blends_faces_and_weighs_both_labels():
    torch.manual_seed(2)
    faces, rows = torch.eye(6)[:, :, None, None].expand(6, 6, 2, 2), torch.arange(6)
    batch = mix_up(faces, rows, 1.0)
    assert batch.partners is not None
    of_own = batch.faces[rows, rows, 0, 0]
    alone = batch.partners == rows
    assert alone.sum() < 3
    torch.testing.assert_close(of_own[~alone], batch.share[~alone])
    torch.testing.assert_close(batch.faces[rows, batch.partners, 0, 0][~alone], 1 - batch.share[~alone])
    torch.testing.assert_close(batch.faces.sum(dim=1), torch.ones(6, 2, 2))
    losses = batch.weigh(lambda chosen: chosen.float())
    torch.testing.assert_close(losses, batch.share * rows + (1 - batch.share) * batch.partners)


def test_without_mixup_nothing_is_blended_nor_drawn():
    faces = torch.randn(3, 1, 2, 2)
    before = torch.get_rng_state()
    batch = mix_up(faces, torch.tensor([4, 5, 6]), 0.0)
    assert batch.faces is faces
    assert batch.weigh(lambda rows: rows).tolist() == [4, 5, 6]
    assert torch.equal(before, torch.get_rng_state())

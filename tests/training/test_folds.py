"""Cross-validation: folds that do not leak, repeatable, resumable, with mean and deviation."""

import json
import statistics

import numpy as np
import pytest

from tests.training.test_runs import changed, one_line_error
from training.__main__ import STOPPED, main
from training.data.faces import NO_MAJORITY, Faces
from training.errors import TrainingError
from training.learning.fit import fit
from training.measuring import cross_validation
from training.measuring.cross_validation import cut_folds

FIT = {"epochs": 2, "batch_size": 16, "threads": 1}


def make_faces(n: int = 60, labels: int = 3, *, people: int | None = None) -> Faces:
    random = np.random.default_rng(1)
    majority = np.arange(n) % labels
    return Faces(
        tiles=random.integers(0, 255, (n, 4, 4), dtype=np.uint8),
        votes=np.eye(labels, dtype=np.float32)[majority],
        majority=majority,
        is_certain=np.ones(n, np.bool_),
        is_copied=np.zeros(n, np.bool_),
        persons=None if people is None else np.array([f"p{i // labels % people}" for i in range(n)]),
    )


def tiles_of(faces: Faces) -> set[bytes]:
    return {tile.tobytes() for tile in faces.tiles}


def test_each_face_is_held_out_once_and_emotions_are_as_common_everywhere():
    faces = make_faces()
    folds = cut_folds(faces, 5, seed=0)
    held_out = [tiles_of(fold.held_out) for fold in folds]
    assert sum(map(len, held_out)) == 60
    assert set.union(*held_out) == tiles_of(faces)
    for fold in folds:
        assert not tiles_of(fold.train) & tiles_of(fold.held_out)
        assert np.bincount(fold.held_out.majority).tolist() == [4, 4, 4]


def test_a_person_is_in_one_fold_only():
    for fold in cut_folds(make_faces(people=7), 3, seed=0):
        assert not set(fold.train.persons.tolist()) & set(fold.held_out.persons.tolist())


def test_copies_are_in_one_fold_only():
    faces = make_faces(90)
    faces.tiles[30:] = np.concatenate([faces.tiles[:30], faces.tiles[:30]])
    for fold in cut_folds(faces, 5, seed=0):
        assert not tiles_of(fold.train) & tiles_of(fold.held_out)


def test_faces_without_a_majority_are_trained_on_but_not_judged_by():
    faces = make_faces()
    faces.majority[:9] = NO_MAJORITY
    folds = cut_folds(faces, 3, seed=0)
    assert sum(len(fold.held_out) for fold in folds) == 51
    assert all((fold.held_out.majority != NO_MAJORITY).all() for fold in folds)
    assert max((fold.train.majority == NO_MAJORITY).sum() for fold in folds) > 0


def test_the_same_seed_cuts_the_same_folds_and_another_others():
    first, again, other = (cut_folds(make_faces(), 3, seed)[0].held_out.tiles for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_emotion_too_rare_for_the_folds_is_refused():
    faces = make_faces(9)
    with pytest.raises(TrainingError, match="label 0 has 3"):
        cut_folds(faces, 4, seed=0)


def cross_validate(config, data, runs, *more) -> int:
    return main(
        ["cross-validate", str(config), "--data", str(data), "--runs", str(runs), "--folds", "2", *more]
    )


def summary(runs) -> dict:
    return json.loads((runs / "tiny_folds" / "cross_validation.json").read_text(encoding="utf-8"))


def test_a_broken_cross_validation_resumes_to_the_same_numbers(
    fer, config_file, tmp_path, monkeypatch, capsys
):
    config, data = changed(config_file, fit=FIT), fer.write()
    assert cross_validate(config, data, tmp_path / "whole") == 0
    whole = summary(tmp_path / "whole")
    accuracies = [fold["accuracy"] for fold in whole["folds"]]
    assert whole["accuracy"]["mean"] == pytest.approx(statistics.mean(accuracies), abs=1e-5)
    assert whole["accuracy"]["standard_deviation"] == pytest.approx(statistics.stdev(accuracies), abs=1e-5)

    begun = []

    def stopped_in_the_second_fold(*arguments):
        begun.append(arguments)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(cross_validation, "fit", stopped_in_the_second_fold)
    assert cross_validate(config, data, tmp_path / "broken") == STOPPED
    assert cross_validate(config, data, tmp_path / "broken") == 1
    assert "--resume" in one_line_error(capsys)
    assert cross_validate(config, data, tmp_path / "broken", "--resume") == 0
    assert len(begun) == 3  # the first fold was not repeated
    assert summary(tmp_path / "broken") == whole

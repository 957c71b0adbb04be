"""Intervals: the fast figures of resamples are scikit-learn's, and they cover what they should."""

import math
from typing import Any

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS
from fercore.inference.calibration import softmax
from training.measuring.bootstrap import Interval, bootstrap, bootstrap_share
from training.measuring.metrics import measure

FEW = 6


def draw(rows: int, seed: int, classes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities, some of them equal, and labels that follow them."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (rows, classes)).round(1).astype(np.float32)
    probabilities = softmax(logits, 1.0)
    labels = (probabilities.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1).clip(0, classes - 1)
    return probabilities, labels


@pytest.mark.parametrize(("rows", "seed"), [(300, 0), (300, 1), (12, 2), (FEW, 3)])
def test_a_single_resample_has_the_figures_that_its_rows_have(rows, seed):
    probabilities, labels = draw(rows, seed)
    chosen = np.random.default_rng(seed).integers(0, rows, (1, rows))[0]
    expected = measure(probabilities[chosen], labels[chosen]).as_dict()
    found = bootstrap(probabilities, labels, resamples=1, seed=seed)
    assert set(found) == set(expected) - {"rows", "confusion"}
    for name, interval in found.items():
        if name != "expected_calibration_error":  # it is moved by its bias
            assert flatten(interval) == pytest.approx(flatten(expected[name]), nan_ok=True), name


def flatten(figure: object) -> list[float]:
    """Return the figure, or each emotion's; of an interval its lower end, not a number for None."""
    values: list[Any] = list(figure.values()) if isinstance(figure, dict) else [figure]
    return [
        math.nan if value is None else value[0] if isinstance(value, tuple) else value for value in values
    ]


def single(interval: object) -> Interval:
    """Return the interval of a figure that is one number."""
    assert isinstance(interval, tuple)
    return interval


def test_intervals_hold_the_figure_and_narrow_with_more_rows():
    widths = []
    for rows in (200, 3200):
        probabilities, labels = draw(rows, 4)
        figures = measure(probabilities, labels)
        intervals = bootstrap(probabilities, labels, resamples=300)
        for name, interval in intervals.items():
            if isinstance(interval, tuple):
                assert interval[0] <= getattr(figures, name) <= interval[1], name
        low, high = single(intervals["accuracy"])
        widths.append(high - low)
    expected = 2 * 1.96 * math.sqrt(figures.accuracy * (1 - figures.accuracy) / 3200)
    assert widths[1] == pytest.approx(expected, rel=0.15)
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.3)


def test_the_interval_of_the_calibration_error_holds_that_of_honest_probabilities():
    probabilities, labels = draw(3000, 5)
    error = measure(probabilities, labels).expected_calibration_error
    low, high = single(bootstrap(probabilities, labels, resamples=200)["expected_calibration_error"])
    assert 0 <= low <= error <= high < 0.05


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    probabilities, labels = draw(100, 6)
    first, again, other = (bootstrap(probabilities, labels, resamples=60, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_fewer_classes_and_absent_ones_have_intervals_or_none():
    probabilities, labels = draw(100, 7, classes=3)
    labels[labels == 2] = 1
    found = bootstrap(probabilities, labels, EMOTIONS[:3], resamples=50)
    recall, areas, precision = (found[name] for name in ("recall", "roc_auc", "precision"))
    assert isinstance(recall, dict)
    assert isinstance(areas, dict)
    assert isinstance(precision, dict)
    assert list(recall) == ["neutral", "happiness", "surprise"]
    assert recall["surprise"] is None
    assert areas["surprise"] is None
    assert precision["surprise"] == (0.0, 0.0)


def test_a_share_has_the_interval_that_accuracy_has():
    probabilities, labels = draw(400, 8)
    is_right = probabilities.argmax(axis=1) == labels
    found = bootstrap_share(is_right, resamples=200, seed=3)
    assert found == pytest.approx(bootstrap(probabilities, labels, resamples=200, seed=3)["accuracy"])
    assert found[0] < is_right.mean() < found[1]
    assert bootstrap_share(np.ones(5, np.bool_)) == (1, 1)

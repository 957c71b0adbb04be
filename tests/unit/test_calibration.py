"""One softmax, for what is fitted and for what is served."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fercore.inference.calibration import softmax

LOGITS = np.array([[1, 2, 3, 0], [-4, 0.5, 0.25, 0]], np.float32)


def test_probabilities_are_proportional_to_powers_of_the_scaled_logits():
    powers = np.exp(LOGITS.astype(float) / 0.8)
    np.testing.assert_allclose(softmax(LOGITS, 0.8), powers / powers.sum(axis=1, keepdims=True), rtol=1e-12)


def test_a_higher_temperature_makes_less_sure_and_chooses_the_same():
    warm, cold = softmax(LOGITS, 4), softmax(LOGITS)
    assert (warm.max(axis=1) < cold.max(axis=1)).all()
    np.testing.assert_array_equal(warm.argmax(axis=1), cold.argmax(axis=1))


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8), st.floats(0.05, 10))
def test_rows_sum_to_1_however_large_the_logits_are_in_either_precision(row, temperature):
    logits = np.array([row], np.float32)
    probabilities = softmax(logits, temperature)
    assert probabilities.dtype == np.float64
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(probabilities, softmax(logits.astype(np.float64), temperature))

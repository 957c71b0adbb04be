"""A prior is read or refused in words, and probabilities are corrected for it by the one formula."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from fercore.contracts.api import PredictOptions
from fercore.contracts.emotions import EMOTIONS
from fercore.contracts.live import StreamOptions
from fercore.contracts.prior import read_name, read_shares
from fercore.inference.calibration import compute_log_weights, softmax

LABELS = ("neutral", "happiness", "sadness")
SHARES = st.lists(st.floats(1e-4, 1), min_size=3, max_size=3).map(lambda row: np.array(row) / sum(row))
LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=3, max_size=3)


def test_the_names_and_the_shares_are_read():
    assert read_shares("training", LABELS) is None
    assert read_shares("uniform", LABELS) == dict.fromkeys(LABELS, 1 / 3)
    assert read_shares("sadness:3, neutral : 1", LABELS) == {
        "neutral": 0.25,
        "happiness": 0,
        "sadness": 0.75,
    }
    assert read_shares("neutral:36e-2,happiness:.64", LABELS)["happiness"] == pytest.approx(0.64)
    assert [read_name(text) for text in ("training", "uniform", "auto", "neutral:1")] == [
        "training",
        "uniform",
        "auto",
        "custom",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be training, uniform, or shares such as neutral:0.2,happiness:0.8"),
        ("equal", "must be training, uniform, or shares such as"),
        ("neutral:1,", "must be training, uniform, or shares such as"),
        ("joy:1", "'joy' is none of the emotions neutral, happiness, surprise, "),
        ("neutral:1,neutral:2", "neutral stands twice"),
        ("anger:-0.1,neutral:1", "the share of anger is negative"),
        ("anger:-1", "the share of anger is negative"),
        ("anger:0", "the shares must not sum to 0"),
        ("anger:0,neutral:0", "the shares must not sum to 0"),
        ("anger:", "the share of anger is no number: ''"),
        ("anger:much", "the share of anger is no number: 'much'"),
        ("anger:nan", "the share of anger is no number: 'nan'"),
        ("anger:inf", "the share of anger is no number: 'inf'"),
        ("anger:1_0", "the share of anger is no number: '1_0'"),
        ("anger:1e999", "the shares are too large"),
        ("anger:1" + "0" * 256, "at most 256 characters"),
    ],
)
def test_what_states_no_prior_is_refused_with_the_reason(text, reason):
    for options in (PredictOptions, StreamOptions):
        with pytest.raises(ValidationError) as fault:
            options(prior=text)
        (error,) = fault.value.errors()
        assert error["loc"] == ("prior",)
        assert reason in error["msg"]
        assert not error["msg"].startswith("Value error")


def test_auto_is_refused_for_a_picture():
    with pytest.raises(ValidationError, match="auto is for live streams only"):
        PredictOptions(prior="auto")


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=3))
def test_shares_are_normalised_whatever_their_sum(stated):
    assume(sum(stated) > 1e-300)
    text = ",".join(f"{label}:{share!r}" for label, share in zip(LABELS, stated, strict=True))
    shares = read_shares(text, LABELS)
    assert list(shares) == list(LABELS)
    assert sum(shares.values()) == pytest.approx(1)
    np.testing.assert_allclose(list(shares.values()), np.array(stated) / sum(stated), rtol=1e-9)


@given(LOGITS, st.floats(0.2, 5), SHARES, SHARES)
def test_the_correction_is_that_of_the_formula(row, temperature, training, expected):
    logits = np.array([row], np.float32)
    calibrated = softmax(logits, temperature)[0]
    brute = [p * new / old for p, new, old in zip(calibrated, expected, training, strict=True)]
    assume(sum(brute) > 1e-200)
    corrected = softmax(logits, temperature, compute_log_weights(training, expected))[0]
    np.testing.assert_allclose(corrected, np.array(brute) / sum(brute), rtol=1e-6, atol=1e-12)


@given(LOGITS, SHARES)
def test_the_mix_that_was_trained_for_changes_nothing(row, shares):
    logits = np.array([row], np.float32)
    np.testing.assert_allclose(
        softmax(logits, 0.9, compute_log_weights(shares, shares)), softmax(logits, 0.9), atol=1e-12
    )
    uniform = np.full(3, 1 / 3)
    np.testing.assert_array_equal(
        softmax(logits, 0.9, compute_log_weights(uniform, uniform)), softmax(logits, 0.9)
    )


@given(LOGITS, SHARES, SHARES)
def test_one_correction_after_the_other_is_that_of_the_last(row, first, last):
    logits = np.array([row], np.float32)
    training = np.full(3, 1 / 3)
    both = compute_log_weights(training, first) + compute_log_weights(first, last)
    np.testing.assert_allclose(
        softmax(logits, 1, both), softmax(logits, 1, compute_log_weights(training, last)), atol=1e-12
    )


def test_an_emotion_that_is_not_expected_is_never_answered_however_sure_the_model_is():
    logits = np.array([[1e4, 0, -1e4]], np.float32)
    weights = compute_log_weights([0.3, 0.3, 0.4], [0, 0, 1])
    np.testing.assert_array_equal(softmax(logits, 0.5, weights), [[0, 0, 1]])


def test_every_face_has_a_prior_of_its_own():
    logits = np.zeros((2, 2), np.float32)
    weights = np.stack([np.zeros(2), compute_log_weights([0.5, 0.5], [0.9, 0.1])])
    np.testing.assert_allclose(softmax(logits, 1, weights), [[0.5, 0.5], [0.9, 0.1]])


def test_uniform_is_over_the_emotions_of_the_model():
    assert len(read_shares("uniform")) == len(EMOTIONS)
    assert read_shares("uniform", LABELS)["sadness"] == pytest.approx(1 / 3)

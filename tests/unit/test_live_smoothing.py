"""A face's label is that of its last frames' mean, and changes only with reason."""

import pytest

from fercore.contracts.emotions import EMOTIONS, Emotion
from services.gateway.live.follower import MARGIN, Smoothing


def probabilities(**given: float) -> dict[Emotion, float]:
    rest = (1 - sum(given.values())) / (len(EMOTIONS) - len(given))
    return {emotion: given.get(emotion, rest) for emotion in EMOTIONS}


def test_the_mean_is_that_of_the_last_frames_only():
    smoothing = Smoothing(3)
    for p in (0.9, 0.1, 0.2):
        smoothing.smooth(1, probabilities(happiness=p))
    smoothed = smoothing.smooth(1, probabilities(happiness=0.6))
    assert smoothed.probabilities[Emotion.HAPPINESS] == pytest.approx(0.3)
    assert sum(smoothed.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert list(smoothed.probabilities) == list(EMOTIONS)
    assert smoothed.score == smoothed.probabilities[smoothed.emotion]


def test_the_first_frame_stands_for_itself():
    smoothed = Smoothing(5).smooth(1, probabilities(fear=0.8))
    assert (smoothed.emotion, smoothed.score) == (Emotion.FEAR, 0.8)


def test_one_odd_frame_changes_no_label():
    smoothing = Smoothing(5)
    labels = [
        smoothing.smooth(1, probabilities(**{emotion: 0.8})).emotion
        for emotion in ("neutral", "neutral", "neutral", "anger", "neutral", "neutral")
    ]
    assert set(labels) == {Emotion.NEUTRAL}


def test_a_lasting_change_changes_the_label():
    smoothing = Smoothing(5)
    for _ in range(5):
        smoothing.smooth(1, probabilities(neutral=0.8))
    labels = [smoothing.smooth(1, probabilities(happiness=0.8)).emotion for _ in range(5)]
    assert labels[0] == Emotion.NEUTRAL
    assert labels[-1] == Emotion.HAPPINESS


def test_a_tie_does_not_flip_the_label():
    smoothing = Smoothing(5)
    labels = []
    for frame in range(40):
        ahead, behind = (0.46, 0.44) if frame // 5 % 2 else (0.44, 0.46)
        labels.append(smoothing.smooth(1, probabilities(neutral=behind, sadness=ahead)).emotion)
    assert len(set(labels)) == 1


def test_a_lead_beyond_the_margin_changes_the_label_and_one_within_it_does_not():
    smoothing = Smoothing(2)
    smoothing.smooth(1, probabilities(neutral=0.5, sadness=0.4))
    within = probabilities(neutral=0.40, sadness=0.40 + MARGIN)
    for _ in range(2):
        assert smoothing.smooth(1, within).emotion == Emotion.NEUTRAL
    beyond = probabilities(neutral=0.40, sadness=0.42 + MARGIN)
    for _ in range(2):
        smoothed = smoothing.smooth(1, beyond)
    assert smoothed.emotion == Emotion.SADNESS


def test_one_frame_is_off():
    smoothing = Smoothing(1)
    for emotion in (Emotion.NEUTRAL, Emotion.ANGER, Emotion.NEUTRAL):
        given = probabilities(**{emotion: 0.2})
        smoothed = smoothing.smooth(1, given)
        assert smoothed.emotion == emotion
        assert smoothed.probabilities == pytest.approx(given, abs=1e-6)


def test_each_face_has_its_own_mean_and_is_forgotten_when_it_is_gone():
    smoothing = Smoothing(5)
    smoothing.smooth(1, probabilities(anger=0.9))
    assert smoothing.smooth(2, probabilities(fear=0.9)).emotion == Emotion.FEAR
    smoothing.keep_only({2})
    assert smoothing.smooth(1, probabilities(happiness=0.9)).score == pytest.approx(0.9)
    assert smoothing.smooth(2, probabilities(fear=0.5)).score == pytest.approx(0.7)


def test_a_model_that_knows_other_emotions_starts_anew():
    smoothing = Smoothing(5)
    smoothing.smooth(1, probabilities(contempt=0.9))
    smoothed = smoothing.smooth(1, {Emotion.NEUTRAL: 0.3, Emotion.HAPPINESS: 0.7})
    assert smoothed.emotion == Emotion.HAPPINESS
    assert set(smoothed.probabilities) == {Emotion.NEUTRAL, Emotion.HAPPINESS}

"""A stream's own mix is found from its answers, slowly, and within bounds."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fercore.contracts.api import Box, Exposure, Face, PredictOptions, Quality, UncertainReason
from fercore.contracts.emotions import Emotion
from fercore.contracts.live import StreamOptions
from services.gateway.live.mix import ANCHOR, MEMORY_S, SessionMix

N, H, S = Emotion.NEUTRAL, Emotion.HAPPINESS, Emotion.SADNESS
TRAINED = {"neutral": 0.6, "happiness": 0.3, "sadness": 0.1}
FRAME_S = 0.1


def face(*probabilities: float, reasons: tuple[UncertainReason, ...] = ()) -> Face:
    return Face(
        box=Box(x=0, y=0, width=9, height=9),
        landmarks=None,
        detection_score=1,
        quality=Quality(
            size_px=50, blur=0, exposure=Exposure(brightness=0.5, contrast=0.2, clipped=0), pose=None
        ),
        emotion=N,
        score=probabilities[0],
        uncertain=bool(reasons),
        uncertain_reasons=list(reasons),
        probabilities=dict(zip((N, H, S), probabilities, strict=True)),
    )


def corrected(likelihoods: tuple[float, ...], shares: dict[str, float]) -> Face:
    """What the classifier answers, given how likely each emotion looks so, for a mix that is assumed."""
    joint = [likelihood * share for likelihood, share in zip(likelihoods, shares.values(), strict=True)]
    return face(*(value / sum(joint) for value in joint))


LOOKS = {"neutral": (0.7, 0.1, 0.2), "happiness": (0.1, 0.85, 0.05), "sadness": (0.25, 0.05, 0.7)}
"""Row: what is shown; column: how often it looks like each emotion."""


def watch(mix: SessionMix, true_shares: dict[str, float], minutes: float, seed: int = 0) -> dict[str, float]:
    """Show faces of this mix, a new one each second; gives what is assumed in the end."""
    draw = random.Random(seed)
    at_s = 1000.0
    for _ in range(round(minutes * 60)):
        shown = draw.choices(list(true_shares), list(true_shares.values()))[0]
        looks_like = draw.choices(range(3), LOOKS[shown])[0]
        likelihoods = tuple(LOOKS[emotion][looks_like] for emotion in TRAINED)
        for _ in range(round(1 / FRAME_S)):
            mix.see([corrected(likelihoods, mix.assume(TRAINED))], at_s)
            at_s += FRAME_S
    return mix.assume(TRAINED)


def test_before_anything_was_seen_the_training_mix_is_assumed():
    assert SessionMix().assume(TRAINED) == pytest.approx(TRAINED)


@pytest.mark.parametrize(
    "true_shares",
    [
        {"neutral": 0.2, "happiness": 0.2, "sadness": 0.6},
        {"neutral": 0.1, "happiness": 0.8, "sadness": 0.1},
        {"neutral": 0.3, "happiness": 0.3, "sadness": 0.4},
    ],
)
def test_the_assumed_mix_comes_nearer_to_the_true_one(true_shares):
    mix = SessionMix()
    late = [watch(mix, true_shares, minutes=10, seed=seed) for seed in range(5)][1:]
    mean = {name: sum(assumed[name] for assumed in late) / len(late) for name in TRAINED}
    assert distance(mean, true_shares) < 0.6 * distance(TRAINED, true_shares)


def test_where_nothing_has_shifted_it_stays():
    assert distance(watch(SessionMix(), TRAINED, minutes=30), TRAINED) < 0.1


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    """Give the total variation, 0 to 1."""
    return sum(abs(one[name] - other[name]) for name in TRAINED) / 2


def test_an_hour_of_one_expression_leaves_room_for_the_others():
    assumed = watch(SessionMix(), {"neutral": 0, "happiness": 1, "sadness": 0}, minutes=60)
    assert assumed["happiness"] > 0.75
    for emotion, share in TRAINED.items():
        assert assumed[emotion] >= ANCHOR * share
        assert assumed[emotion] <= 1 - ANCHOR * (1 - share)


def test_a_minute_moves_it_only_a_little_however_many_faces_and_frames_there_are():
    few, many = SessionMix(), SessionMix()
    for mix, faces, frames_s in ((few, 1, 1.0), (many, 20, 0.02)):
        mix.assume(TRAINED)
        for frame in range(round(60 / frames_s) + 1):
            mix.see([face(0, 0, 1)] * faces, frame * frames_s)
    assert few.assume(TRAINED) == pytest.approx(many.assume(TRAINED), abs=1e-6)
    assert few.assume(TRAINED)["sadness"] < TRAINED["sadness"] + 0.8 * 60 / MEMORY_S


def test_a_pause_counts_as_no_more_than_a_second():
    mix = SessionMix()
    mix.assume(TRAINED)
    mix.see([face(0, 0, 1)], 0)
    mix.see([face(0, 0, 1)], 3600)
    assert mix.assume(TRAINED)["sadness"] < TRAINED["sadness"] + 0.01


def test_faces_of_low_quality_and_of_other_emotions_tell_nothing():
    mix = SessionMix()
    mix.assume(TRAINED)
    for at_s in range(100):
        mix.see([face(0, 0, 1, reasons=("low_quality",))], at_s)
        mix.see([face(0, 0, 1).model_copy(update={"probabilities": {N: 1.0}})], at_s)
        mix.see([], at_s)
    assert mix.assume(TRAINED) == pytest.approx(TRAINED)


def test_another_model_begins_anew():
    mix = SessionMix()
    watch(mix, {"neutral": 0, "happiness": 0, "sadness": 1}, minutes=5)
    other = {"neutral": 0.5, "happiness": 0.5}
    assert mix.assume(other) == other
    assert mix.assume(TRAINED) == pytest.approx(TRAINED)


@given(
    st.lists(st.tuples(st.floats(-5, 100), st.integers(0, 2)), max_size=50),
)
def test_whatever_comes_the_shares_stay_within_their_bounds(frames):
    mix = SessionMix()
    for at_s, shown in frames:
        mix.assume(TRAINED)
        mix.see([face(*(float(shown == number) for number in range(3)))], at_s)
    assumed = mix.assume(TRAINED)
    assert sum(assumed.values()) == pytest.approx(1)
    assert all(assumed[name] >= ANCHOR * share - 1e-12 for name, share in TRAINED.items())


def test_auto_is_for_streams_only():
    assert StreamOptions(prior="auto").prior == "auto"
    with pytest.raises(ValidationError, match="auto is for live streams only"):
        PredictOptions(prior="auto")

"""When a rule fires, and when it keeps silent."""

import pytest

from fercore.contracts.emotions import Emotion
from fercore.contracts.live import AlertRule
from services.gateway.alerts.watch import Watch

SAD, HAPPY = Emotion.SADNESS, Emotion.HAPPINESS


def watch(**rule) -> Watch:
    return Watch(AlertRule(**{"window_s": 10, "cooldown_s": 20, "min_faces": 1} | rule))


def run(watched: Watch, emotions, *, from_s: float = 0.0, step_s: float = 0.1) -> list[float]:
    """Show one face a step and give the times at which the rule fired."""
    times = [from_s + number * step_s for number in range(len(emotions))]
    shares = [watched.see(at_s, [emotion]) for at_s, emotion in zip(times, emotions, strict=True)]
    return [round(at_s, 6) for at_s, share in zip(times, shares, strict=True) if share is not None]


def test_it_fires_when_the_session_has_lasted_for_the_window_and_not_before():
    assert run(watch(), [SAD] * 150)[0] == 10.0


def test_it_is_silent_during_the_cool_down_and_then_fires_again():
    assert run(watch(), [SAD] * 520) == [10.0, 30.0, 50.0]


def test_the_standard_rule_is_three_fifths_of_negative_emotions_in_five_minutes():
    rule = AlertRule()
    assert (rule.share, rule.window_s) == (0.6, 300)
    assert set(rule.emotions) == {SAD, Emotion.ANGER, Emotion.DISGUST, Emotion.FEAR}
    shown = [Emotion.SADNESS, Emotion.ANGER, Emotion.FEAR, HAPPY, Emotion.SURPRISE]
    assert run(Watch(rule), shown * 200, step_s=0.5) == [300.0]
    assert run(Watch(rule), [*shown[1:], HAPPY] * 200, step_s=0.5) == []


def test_the_share_is_that_of_all_faces_in_the_window():
    watched = watch(share=0.5)
    for at_s in range(10):
        assert watched.see(float(at_s), [SAD, HAPPY, HAPPY]) is None
    assert watched.see(10.0, [SAD] * 20) == pytest.approx((10 + 20) / (30 + 20))


def test_exactly_the_share_is_enough():
    for share, fires in ((0.7, True), (0.7001, False)):
        watched = watch(share=share)
        watched.see(5.0, [SAD] * 7 + [HAPPY] * 3)
        assert (watched.see(10.0, []) is not None) == fires


def test_what_is_older_than_the_window_is_forgotten():
    watched = watch(share=0.9)
    assert run(watched, [HAPPY] * 300) == []
    fired = run(watched, [SAD] * 150, from_s=30)
    assert fired
    assert 38.9 <= fired[0] <= 40


def test_too_few_faces_never_fire():
    assert run(watch(min_faces=102), [SAD] * 101) == []
    assert run(watch(min_faces=100), [SAD] * 500)[:1] == [10.0]


def test_nobody_in_the_image_fires_nothing():
    watched = watch()
    assert [watched.see(float(at_s), []) for at_s in range(100)] == [None] * 100


def test_without_a_cool_down_it_speaks_once_a_second_at_most():
    fired = run(watch(cooldown_s=0), [SAD] * 160)
    assert fired == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]


def test_what_it_remembers_is_bounded_by_the_window():
    watched = watch(window_s=10)
    run(watched, [SAD] * 10_000, step_s=0.05)
    assert len(watched._window) <= 11
    assert watched._faces == sum(second.faces for second in watched._window)

"""What a trend says of a recorded session, as bodies and as a table."""

import csv
from datetime import UTC, datetime, timedelta

import pytest

from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.contracts.errors import InvalidRequest, UnknownSession
from fercore.contracts.live import Alert, TrendRow
from services.gateway.recordings import trend as trend_module
from services.gateway.recordings.routes import check_session_id, parse_bucket
from services.gateway.recordings.stored import FaceSecond, Head, StoredRecording, second_field
from services.gateway.recordings.trend import as_csv, build_trend

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
NEUTRAL, HAPPY, SURPRISE, SAD, CONTEMPT = 0, 1, 2, 3, 7


def row(face_id: int, counts: dict[int, int], means: dict[int, float]) -> FaceSecond:
    frames = sum(counts.values())
    return FaceSecond(
        face_id,
        frames,
        counts,
        {emotion: round(mean * frames * 1_000_000) for emotion, mean in means.items()},
    )


def of(seconds: dict[int, list[FaceSecond]], *, bucket_s: int = 10, alerts: tuple[Alert, ...] = ()):
    fields = {second: second_field(second, faces)[1] for second, faces in seconds.items()}
    recorded = StoredRecording(Head(START, "a label"), fields, alerts)
    return build_trend(recorded, "ab" * 16, bucket_s=bucket_s, expires_at=START + timedelta(days=1))


def test_buckets_begin_with_the_session_and_hold_one_row_a_face():
    happy = {HAPPY: 1.0, SAD: 0.0}
    found = of(
        {
            0: [row(1, {HAPPY: 25}, happy)],
            9: [row(1, {HAPPY: 5}, happy), row(2, {SAD: 10}, happy)],
            10: [row(2, {SAD: 10}, happy)],
            35: [row(1, {HAPPY: 1}, happy)],
        }
    )
    assert [(row.start, row.face_id, row.frames) for row in found.buckets] == [
        (START, 1, 30),
        (START, 2, 10),
        (START + timedelta(seconds=10), 2, 10),
        (START + timedelta(seconds=30), 1, 1),
    ]
    assert found.totals.frames == 51
    assert (found.label, found.started_at, found.bucket_s) == ("a label", START, 10)


def test_shares_are_of_smoothed_emotions_and_probabilities_means_of_raw_ones_weighted_by_frames():
    found = of(
        {
            0: [row(1, {HAPPY: 30}, {HAPPY: 0.8, SAD: 0.2})],
            1: [row(1, {SAD: 10}, {HAPPY: 0.4, SAD: 0.6})],
        }
    )
    [bucket] = found.buckets
    assert bucket.emotion == "happiness"
    assert bucket.shares == {Emotion.HAPPINESS: 0.75, Emotion.SADNESS: 0.25}
    assert bucket.probabilities == pytest.approx({Emotion.HAPPINESS: 0.7, Emotion.SADNESS: 0.3})
    assert bucket.valence == pytest.approx(0.4)
    assert found.totals == TrendRow.model_validate(bucket.model_dump(exclude={"start", "face_id"}))


@pytest.mark.parametrize(
    ("emotion", "valence"), [(NEUTRAL, 0), (HAPPY, 1), (SURPRISE, 0), (SAD, -1), (CONTEMPT, -0.5)]
)
def test_valence_is_how_pleasant_a_face_looks(emotion, valence):
    assert of({0: [row(1, {emotion: 3}, {emotion: 1.0})]}).totals.valence == valence


def test_only_emotions_that_the_model_knows_are_named():
    seven = dict.fromkeys(range(7), 1 / 7)
    totals = of({0: [row(1, {HAPPY: 7}, seven)]}).totals
    assert list(totals.shares) == list(totals.probabilities) == list(EMOTIONS[:7])
    assert sum(totals.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_a_session_in_which_nobody_was_seen_has_an_empty_trend():
    found = of({})
    assert found.buckets == []
    assert (found.totals.frames, found.totals.emotion, found.totals.valence) == (0, None, None)


def test_alerts_are_told():
    alert = Alert(rule="negative", emotions=(Emotion.FEAR,), share=0.7, window_s=10, at=START)
    assert of({}, alerts=(alert,)).alerts == [alert]


def test_too_many_rows_are_refused_with_a_bucket_that_is_long_enough(monkeypatch):
    monkeypatch.setattr(trend_module, "MAX_ROWS", 12)
    day = {second: [row(1, {HAPPY: 1}, {HAPPY: 1.0})] for second in range(120)}
    with pytest.raises(InvalidRequest, match=r"120 rows.* more than 12; take .*bucket=10s"):
        of(day, bucket_s=1)
    assert len(of(day, bucket_s=10).buckets) == 12


def test_too_many_faces_are_refused_and_no_bucket_is_promised(monkeypatch):
    monkeypatch.setattr(trend_module, "MAX_ROWS", 3)
    crowd = {0: [row(face_id, {HAPPY: 1}, {HAPPY: 1.0}) for face_id in range(1, 5)]}
    with pytest.raises(InvalidRequest, match="would not help"):
        of(crowd, bucket_s=3600)


def test_a_day_of_seconds_in_which_nobody_left_is_still_told_by_the_minute():
    day = {second: [row(1, {HAPPY: 25}, {HAPPY: 1.0})] for second in range(86_400)}
    assert len(of(day, bucket_s=60).buckets) == 1440


def test_the_table_has_a_column_for_each_emotion_and_an_empty_cell_for_what_is_not_known():
    lines = as_csv(of({0: [row(1, {HAPPY: 3, SAD: 1}, {HAPPY: 0.7, SAD: 0.3})]})).splitlines()
    [found] = csv.DictReader(lines)
    assert found["start"] == "2026-11-21T12:00:00.000+00:00"
    assert (found["face_id"], found["frames"], found["emotion"]) == ("1", "4", "happiness")
    assert (found["share_happiness"], found["share_sadness"], found["share_contempt"]) == ("0.75", "0.25", "")
    assert (found["probability_sadness"], found["valence"]) == ("0.3", "0.4")
    assert len(found) == 5 + 2 * len(EMOTIONS)


@pytest.mark.parametrize(
    ("bucket", "in_seconds"), [("1s", 1), ("90s", 90), ("10m", 600), ("60m", 3600), ("1h", 3600)]
)
def test_a_bucket_is_read(bucket, in_seconds):
    assert parse_bucket(bucket) == in_seconds


@pytest.mark.parametrize(
    "bucket", ["", "0s", "10", "s", "-1s", "1.5s", "3601s", "61m", "2h", "1d", " 1s", "1s\n", "٣s", "1S"]
)
def test_a_wrong_bucket_is_refused_with_what_is_right(bucket):
    with pytest.raises(InvalidRequest, match="1s to 1h, such as 10s, 5m or 1h"):
        parse_bucket(bucket)


@pytest.mark.parametrize("session_id", ["", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "../x"])
def test_what_is_no_session_id_is_an_unknown_session(session_id):
    with pytest.raises(UnknownSession):
        check_session_id(session_id)

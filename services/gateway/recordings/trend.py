"""Turn a recording into its trend, by buckets of time, and into a table.

Knows neither the store nor HTTP.
"""

import csv
import io
from collections import defaultdict
from datetime import datetime, timedelta

from fercore.contracts.emotions import EMOTIONS, VALENCE, Emotion
from fercore.contracts.errors import InvalidRequest
from fercore.contracts.live import Trend, TrendBucket, TrendRow
from services.gateway.recordings.stored import PER_UNIT, FaceSecond, StoredRecording

MAX_ROWS = 5000
_STEPS_S = (2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_DIGITS = 6


def build_trend(recorded: StoredRecording, session_id: str, *, bucket_s: int, expires_at: datetime) -> Trend:
    """Return the trend of a recording; buckets begin with the recording.

    Args:
        recorded: the recording.
        session_id: the handle of the recording.
        bucket_s: seconds in a bucket.
        expires_at: when the recording will be forgotten.

    Raises:
        InvalidRequest: that would be too many rows; the text says which bucket is long enough.
    """
    cells: defaultdict[tuple[int, int], _Sum] = defaultdict(_Sum)
    totals = _Sum()
    for second, face in recorded.rows():
        cells[second // bucket_s, face.face_id].add(face)
    for cell in cells.values():
        totals.add(cell)
    if len(cells) > MAX_ROWS:
        raise InvalidRequest(_too_many(len(cells), recorded, bucket_s))
    started_at = recorded.head.started_at
    return Trend(
        session_id=session_id,
        label=recorded.head.label,
        started_at=started_at,
        expires_at=expires_at,
        bucket_s=bucket_s,
        totals=TrendRow.model_validate(totals.row()),
        buckets=[
            TrendBucket.model_validate(
                cells[bucket, face_id].row()
                | {"start": started_at + timedelta(seconds=bucket * bucket_s), "face_id": face_id}
            )
            for bucket, face_id in sorted(cells)
        ],
        alerts=list(recorded.alerts),
    )


def as_csv(trend: Trend) -> str:
    """Return the buckets as a table (RFC 4180); what a model does not know is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    shares = [f"share_{emotion}" for emotion in EMOTIONS]
    probabilities = [f"probability_{emotion}" for emotion in EMOTIONS]
    writer.writerow(["start", "face_id", "frames", "emotion", "valence", *shares, *probabilities])
    for row in trend.buckets:
        writer.writerow(
            [
                row.start.isoformat(timespec="milliseconds"),
                row.face_id,
                row.frames,
                row.emotion,
                row.valence,
                *(row.shares.get(emotion, "") for emotion in EMOTIONS),
                *(row.probabilities.get(emotion, "") for emotion in EMOTIONS),
            ]
        )
    return text.getvalue()


class _Sum:
    """Frames and probabilities, added up over seconds, and faces if need be."""

    def __init__(self) -> None:
        self.frames = 0
        self.counts: defaultdict[int, int] = defaultdict(int)
        self.sums: defaultdict[int, int] = defaultdict(int)

    def add(self, part: "FaceSecond | _Sum") -> None:
        self.frames += part.frames
        for emotion, count in part.counts.items():
            self.counts[emotion] += count
        for emotion, total in part.sums.items():
            self.sums[emotion] += total

    def row(self) -> dict[str, object]:
        if not self.frames:
            return {"frames": 0, "emotion": None, "shares": {}, "probabilities": {}, "valence": None}
        known = [(index, emotion) for index, emotion in enumerate(EMOTIONS) if index in self.sums]
        shares = {emotion: self.counts[index] / self.frames for index, emotion in known}
        means = {emotion: min(1.0, self.sums[index] / PER_UNIT / self.frames) for index, emotion in known}
        return {
            "frames": self.frames,
            "emotion": max(shares, key=shares.__getitem__),
            "shares": _rounded(shares),
            "probabilities": _rounded(means),
            "valence": round(_valence(means), _DIGITS),
        }


def _valence(means: dict[Emotion, float]) -> float:
    return max(-1.0, min(1.0, sum(VALENCE[emotion] * mean for emotion, mean in means.items())))


def _rounded(values: dict[Emotion, float]) -> dict[Emotion, float]:
    return {emotion: round(value, _DIGITS) for emotion, value in values.items()}


def _too_many(rows: int, recorded: StoredRecording, bucket_s: int) -> str:
    text = f"{rows} rows, one for each face and bucket, are more than {MAX_ROWS}"
    seen = {(second, face.face_id) for second, face in recorded.rows()}
    for step_s in _STEPS_S:
        if step_s > bucket_s and len({(second // step_s, face_id) for second, face_id in seen}) <= MAX_ROWS:
            return f"{text}; take a longer bucket, such as bucket={step_s}s"
    return f"{text}, and a longer bucket would not help: too many faces were seen"

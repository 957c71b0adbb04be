"""One recording on its way to the store: scores of a live stream, counted by the second, and bounded.

Knows neither the store nor a clock; the writer takes what is to be written and reports what became of it.
"""

from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime

import msgspec

from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.contracts.live import Alert
from fercore.service.metrics import LossReason
from fercore.state.store import Record
from services.gateway.live.observer import Observation, ObservedFace
from services.gateway.recordings.stored import (
    HEAD_FIELD,
    PER_UNIT,
    FaceSecond,
    Head,
    alert_field,
    second_field,
)

MAX_FACES_A_SECOND = 32
MAX_ROWS = 100_000
"""Seconds times faces in a recording: more than a day of one face."""

MAX_ALERTS = 1000
MAX_WAITING_SECONDS = 300
"""What is kept of a recording while the store is away; the oldest goes first."""

_INDEX = {emotion: index for index, emotion in enumerate(EMOTIONS)}

Lose = Callable[[LossReason, int], None]
"""Is called with the reason, and how many rows (faces times seconds) are lost."""


class Recording:
    """What was seen in one stream and is not in the store yet.

    Args:
        session_id: the key in the store.
        zero_s: monotonic seconds at the start; all seconds are counted from it.
        started_at: the wall clock then, read once.
        label: the client's.
        lose: counts what is not kept.
    """

    def __init__(
        self, session_id: str, *, zero_s: float, started_at: datetime, label: str | None, lose: Lose
    ) -> None:
        self.session_id = session_id
        self.is_gone = False
        self._head = msgspec.json.encode(Head(started_at, label))
        self._lose = lose
        self._zero_s = zero_s
        self._second = 0
        self._faces: dict[int, _Face] = {}
        self._rows = 0
        self._alerts = 0
        self._waiting: deque[tuple[str, bytes, int]] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    def see(self, observation: Observation) -> None:
        """Count one frame; one that comes late counts in the second that is open."""
        if self.is_gone:
            return
        self.close_before(observation.at_s)
        for face in observation.faces:
            seen = self._faces.get(face.face_id)
            if seen is None:
                if len(self._faces) >= MAX_FACES_A_SECOND:
                    self._lose("crowded", 1)
                    continue
                seen = self._faces[face.face_id] = _Face()
            seen.add(face)

    def close_before(self, now_s: float) -> None:
        """Add the open second to what is to be written if it is over."""
        second = int(now_s - self._zero_s)
        if second > self._second:
            self.close()
            self._second = second

    def close(self) -> None:
        """Add the open second to what is to be written, over or not."""
        if not self._faces:
            return
        rows = [face.row(face_id) for face_id, face in self._faces.items()]
        self._faces.clear()
        if self._rows + len(rows) > MAX_ROWS:
            self._lose("session_full", len(rows))
            return
        self._rows += len(rows)
        self._wait(*second_field(self._second, rows), len(rows))

    def fire(self, alert: Alert) -> None:
        """Keep an alert as an event of the recording."""
        if not self.is_gone and self._alerts < MAX_ALERTS:
            self._wait(*alert_field(self._alerts, alert), 0)
            self._alerts += 1

    def to_write(self) -> Record:
        """Return all that waits; the head stands in every record, so that it cannot be missing."""
        return Record(
            self.session_id, {HEAD_FIELD: self._head} | {name: content for name, content, _ in self._waiting}
        )

    def written(self, record: Record, *, was_put: bool) -> None:
        """Forget what is in the store now; a recording that was deleted there is gone for good."""
        if was_put:
            self._waiting = deque(entry for entry in self._waiting if entry[0] not in record.fields)
        else:
            self.give_up()

    def give_up(self) -> None:
        """Keep nothing from now on."""
        self.is_gone = True
        self._waiting.clear()
        self._faces.clear()

    def lose_what_waits(self) -> None:
        """Count what waits as lost, and give up."""
        self._lose("store_away", sum(rows for _, _, rows in self._waiting))
        self.give_up()

    def _wait(self, name: str, content: bytes, rows: int) -> None:
        if len(self._waiting) >= MAX_WAITING_SECONDS:
            self._lose("store_away", self._waiting.popleft()[2])
        self._waiting.append((name, content, rows))


class _Face:
    """Sums up one face within a second."""

    def __init__(self) -> None:
        self._counts: Counter[Emotion] = Counter()
        self._sums: Counter[Emotion] = Counter()

    def add(self, face: ObservedFace) -> None:
        self._counts[face.emotion] += 1
        for emotion, probability in face.probabilities.items():
            self._sums[emotion] += round(probability * PER_UNIT)

    def row(self, face_id: int) -> FaceSecond:
        return FaceSecond(
            face_id=face_id,
            frames=self._counts.total(),
            counts={_INDEX[emotion]: count for emotion, count in self._counts.items()},
            sums={_INDEX[emotion]: total for emotion, total in self._sums.items()},
        )

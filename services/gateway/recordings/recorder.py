"""Writes all recordings of this gateway to the store, twice a second, in one round trip.

Knows the store, neither HTTP nor emotions; an outage of the store delays the writing and nothing else.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from fercore.contracts.errors import UpstreamUnavailable
from fercore.outage import Outage
from fercore.service.metrics import LossReason, Metrics
from fercore.state.store import StateStore
from services.gateway.recordings.recording import Recording

WRITE_EVERY_S = 0.5
MAX_ENDED = 100
"""Recordings that have ended and could not be written yet; of more, the oldest is lost."""

logger = logging.getLogger(__name__)


class Recorder:
    """All recordings of this gateway that are open, or have ended and wait for the store.

    Args:
        store: where recordings are kept.
        metrics: lost rows are counted there.
        lifetime_s: how long a recording is kept after it was last written.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: StateStore,
        metrics: Metrics,
        *,
        lifetime_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._written_s: dict[Recording, float] = {}
        self._ended: dict[Recording, None] = {}
        self._outage = Outage(logger, away="sessions cannot be written", back="sessions are written again")
        metrics.show_lost_rows()

    async def begin(self, *, zero_s: float, started_at: datetime, label: str | None) -> Recording:
        """Open a recording; if the store is away, it is made there later."""
        recording = Recording(
            secrets.token_hex(16), zero_s=zero_s, started_at=started_at, label=label, lose=self._count_lost
        )
        self._written_s[recording] = self._clock()
        await self._write([recording])
        return recording

    async def end(self, recording: Recording) -> None:
        """Write what is left of a recording now, or later if the store is away."""
        recording.close()
        self._ended[recording] = None
        if len(self._ended) > MAX_ENDED:
            oldest = next(iter(self._ended))
            oldest.lose_what_waits()
            self._forget(oldest)
        await self._write([recording])

    async def keep_writing(self) -> None:
        """Write at regular intervals, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write the seconds that are over, and renew what has been silent so long that it might expire."""
        now_s = self._clock()
        for recording in self._written_s:
            recording.close_before(now_s)
        await self._write(
            [
                recording
                for recording, written_s in self._written_s.items()
                if recording.is_waiting or now_s - written_s > self._lifetime_s / 4
            ]
        )

    async def _write(self, recordings: Sequence[Recording]) -> None:
        now_s = self._clock()
        for recording in recordings:  # what expired in the store stays so, and so does what was deleted since
            if now_s - self._written_s.get(recording, now_s) > self._lifetime_s:
                recording.lose_what_waits()
        records = {recording: recording.to_write() for recording in recordings if not recording.is_gone}
        if records:
            try:
                were_put = await self._store.put(list(records.values()), lifetime_s=self._lifetime_s)
            except UpstreamUnavailable as fault:
                self._outage.begins(fault.detail)
                return
            self._outage.ends()
            for (recording, record), was_put in zip(records.items(), were_put, strict=True):
                recording.written(record, was_put=was_put)
                if recording in self._written_s:
                    self._written_s[recording] = now_s
        for recording in recordings:
            if recording.is_gone or (recording in self._ended and not recording.is_waiting):
                self._forget(recording)

    def _forget(self, recording: Recording) -> None:
        self._written_s.pop(recording, None)
        self._ended.pop(recording, None)

    def _count_lost(self, reason: LossReason, rows: int) -> None:
        self._metrics.session_rows_lost.labels(reason).inc(rows)

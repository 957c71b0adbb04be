"""Observes one live stream: watches its alert rules always, and records its scores if the client asked.

Knows neither the store nor HTTP. The wall clock is read once; all else goes by the monotonic one.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from fercore.contracts.live import Alert, AlertRule, StreamOptions
from fercore.service.metrics import Metrics
from services.gateway.alerts.deliveries import WebhookDeliveries
from services.gateway.alerts.watch import Watch
from services.gateway.live.observer import Observation
from services.gateway.recordings.recorder import Recorder
from services.gateway.recordings.recording import Recording

OWN_RULE = "session"
"""The metric's label for all rules that clients bring: their names are free, one label bounds the series."""

logger = logging.getLogger(__name__)


def wall_clock() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


class RecordingObserver:
    """The `StreamObserver` of one stream.

    Args:
        rules: of a stream that brings none.
        recorder: takes what is to be kept.
        deliveries: take alerts to the webhook, if there is one.
        metrics: alerts are counted there.
        clock: monotonic seconds, the same as those of the observations.
        now: the wall clock.
    """

    def __init__(
        self,
        rules: Sequence[AlertRule],
        *,
        recorder: Recorder,
        deliveries: WebhookDeliveries | None,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._rules = rules
        self._recorder = recorder
        self._deliveries = deliveries
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._has_own_rules = False
        self._label: str | None = None
        self._watches: list[Watch] = []
        self._recording: Recording | None = None

    async def begin(self, options: StreamOptions) -> str | None:
        """Start; returns the session id of a recording."""
        self._zero_s, self._started_at, self._last_s = self._clock(), self._now(), 0.0
        self._label = options.label
        self._has_own_rules = options.alerts is not None
        rules = self._rules if options.alerts is None else options.alerts
        self._watches = [Watch(rule) for rule in rules]
        if not options.record:
            return None
        self._recording = await self._recorder.begin(
            zero_s=self._zero_s, started_at=self._started_at, label=options.label
        )
        return self._recording.session_id

    def observe(self, observation: Observation) -> Sequence[Alert]:
        """Count a frame, and return the alerts that it caused."""
        if self._recording is not None:
            self._recording.see(observation)
        self._last_s = max(self._last_s, observation.at_s - self._zero_s)
        emotions = [face.emotion for face in observation.faces]
        alerts = []
        for watch in self._watches:
            share = watch.see(self._last_s, emotions)
            if share is not None:
                alerts.append(self._fire(watch.rule, share))
        return alerts

    async def end(self) -> None:
        """Write what is left."""
        if self._recording is not None:
            await self._recorder.end(self._recording)

    def _fire(self, rule: AlertRule, share: float) -> Alert:
        alert = Alert(
            rule=rule.name,
            emotions=rule.emotions,
            share=share,
            window_s=rule.window_s,
            at=self._started_at + timedelta(seconds=self._last_s),
        )
        session_id = None
        if self._recording is not None and not self._recording.is_gone:
            session_id = self._recording.session_id
            self._recording.fire(alert)
        if self._deliveries is not None:
            self._deliveries.add(alert, session_id=session_id, label=self._label)
        label = OWN_RULE if self._has_own_rules else rule.name
        self._metrics.alerts.labels(label).inc()
        logger.warning("an alert fired", extra={"rule": label, "share": round(share, 4)})
        return alert

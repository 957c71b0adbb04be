"""Puts together what records live streams: recorder, observers and routes around one store.

Knows the parts; the gateway's own wiring starts and ends them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from fercore.service.app import running
from fercore.service.metrics import Metrics
from fercore.state.store import StateStore
from services.gateway.alerts.wiring import Alerts
from services.gateway.recordings.observer import OWN_RULE, RecordingObserver
from services.gateway.recordings.recorder import Recorder
from services.gateway.recordings.routes import session_routes
from services.gateway.recordings.settings import RecordingSettings


class Recordings:
    """All that a gateway keeps of its live streams.

    Args:
        settings: how long recordings are kept.
        alerts: the rules that observers watch, and what sends their alerts.
        store: where recordings are kept.
        metrics: of this process.
    """

    def __init__(
        self, settings: RecordingSettings, *, alerts: Alerts, store: StateStore, metrics: Metrics
    ) -> None:
        self._lifetime_s = settings.session_lifetime_s
        self._alerts = alerts
        self._store = store
        self._metrics = metrics
        metrics.show_alerts([*(rule.name for rule in alerts.rules), OWN_RULE])
        self._recorder = Recorder(store, metrics, lifetime_s=self._lifetime_s)

    def make_observer(self) -> RecordingObserver:
        """Build the observer of one stream."""
        return RecordingObserver(
            self._alerts.rules,
            recorder=self._recorder,
            deliveries=self._alerts.deliveries,
            metrics=self._metrics,
        )

    def routes(self) -> APIRouter:
        """Build the HTTP routes."""
        return session_routes(self._store, lifetime_s=self._lifetime_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write while the block runs, and at its end once more."""
        async with running(self._recorder.keep_writing()):
            yield
        await self._recorder.write()

"""Puts together what remembers sessions: recorder, rules, webhook and routes around one store.

Knows the parts; the gateway's own wiring starts and ends them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from fercore.service.app import running
from fercore.service.metrics import Metrics
from fercore.state.store import StateStore
from services.gateway.alerts.deliveries import WebhookDeliveries
from services.gateway.alerts.webhook import Webhook
from services.gateway.recordings.observer import OWN_RULE, RecordingObserver
from services.gateway.recordings.recorder import Recorder
from services.gateway.recordings.routes import session_routes
from services.gateway.recordings.settings import SessionSettings


class Sessions:
    """All that a gateway remembers of its live sessions.

    Args:
        settings: the gateway's.
        store: closed when `running` ends.
        metrics: of this process.
    """

    def __init__(self, settings: SessionSettings, *, store: StateStore, metrics: Metrics) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics
        for rule in (*(rule.name for rule in settings.alerts), OWN_RULE):
            metrics.alerts.labels(rule)  # counts from 0, so that the first alert is an increase
        self._recorder = Recorder(store, metrics, lifetime_s=settings.session_lifetime_s)
        self._deliveries: WebhookDeliveries | None = None
        if url := settings.webhook_url.get_secret_value():
            webhook = Webhook(
                url,
                settings.webhook_secret.get_secret_value(),
                allows_private=settings.webhook_allow_private,
            )
            self._deliveries = WebhookDeliveries(store, webhook, metrics, attempts=settings.webhook_attempts)

    def make_observer(self) -> RecordingObserver:
        """Build the observer of one stream."""
        return RecordingObserver(
            self._settings.alerts,
            recorder=self._recorder,
            deliveries=self._deliveries,
            metrics=self._metrics,
        )

    def routes(self) -> APIRouter:
        """Make the HTTP routes."""
        return session_routes(self._store, lifetime_s=self._settings.session_lifetime_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write and deliver while the block runs; at its end once more, then close the store."""
        jobs = [self._recorder.keep_writing()]
        if self._deliveries is not None:
            jobs += [self._deliveries.keep_writing(), self._deliveries.keep_delivering()]
        try:
            async with running(*jobs):
                yield
            await self._recorder.write()
            if self._deliveries is not None:
                await self._deliveries.write()
        finally:
            await self._store.close()

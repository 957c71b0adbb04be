"""Puts together what sends alerts: the rules of the operator, and the webhook if there is one.

Knows the parts; the gateway's own wiring starts and ends them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fercore.service.app import running
from fercore.service.metrics import Metrics
from fercore.state.store import StateStore
from services.gateway.alerts.deliveries import WebhookDeliveries
from services.gateway.alerts.settings import AlertSettings
from services.gateway.alerts.webhook import Webhook


class Alerts:
    """What a gateway sends alerts by.

    Args:
        settings: the rules, and the webhook.
        store: where deliveries wait.
        metrics: of this process.

    Attributes:
        rules: of every stream that brings none.
        deliveries: None if there is no webhook.
    """

    def __init__(self, settings: AlertSettings, *, store: StateStore, metrics: Metrics) -> None:
        self.rules = settings.alerts
        self.deliveries: WebhookDeliveries | None = None
        if url := settings.webhook_url.get_secret_value():
            webhook = Webhook(
                url,
                settings.webhook_secret.get_secret_value(),
                allows_private=settings.webhook_allow_private,
            )
            self.deliveries = WebhookDeliveries(store, webhook, metrics, attempts=settings.webhook_attempts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the block runs; at its end write what waits."""
        if self.deliveries is None:
            yield
            return
        async with running(self.deliveries.keep_writing(), self.deliveries.keep_delivering()):
            yield
        await self.deliveries.write()

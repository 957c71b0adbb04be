"""Alerts on their way to the webhook, kept in the store: any gateway may deliver what another has begun.

Knows when to try, not how. Delivered at least once, always under the same delivery id.
"""

import asyncio
import json
import logging
import random
import secrets
from collections import deque
from typing import Protocol

from fercore.contracts.errors import UpstreamUnavailable
from fercore.contracts.live import Alert
from fercore.outage import Outage
from fercore.service.metrics import DeliveryOutcome, Metrics
from fercore.state.store import Lease, StateStore, Task
from services.gateway.alerts.webhook import TIMEOUT_S, DeliveryFailed

LOOK_EVERY_S = 0.5
LEASE_S = 3 * TIMEOUT_S
"""A gateway that died leaves its deliveries to others after so long."""

AT_ONCE = 8
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 3600.0
MAX_WAITING = 1000
"""Deliveries that are kept in this process while the store is away; the oldest goes first."""

logger = logging.getLogger(__name__)


class Sender(Protocol):
    """Tries once."""

    async def send(self, delivery_id: str, body: bytes, *, attempt: int) -> None:
        """Deliver, or raise `DeliveryFailed`."""
        ...


class WebhookDeliveries:
    """What is to be delivered, by this gateway or another.

    Args:
        store: where deliveries wait.
        sender: the webhook.
        metrics: outcomes are counted there.
        attempts: then a delivery is given up.
        first_pause_s: before the second try; each further pause is twice as long.
        lease_s: how long a delivery is this gateway's own; longer than a try may take.
    """

    def __init__(
        self,
        store: StateStore,
        sender: Sender,
        metrics: Metrics,
        *,
        attempts: int,
        first_pause_s: float = FIRST_PAUSE_S,
        lease_s: float = LEASE_S,
    ) -> None:
        self._store = store
        self._sender = sender
        self._metrics = metrics
        self._attempts = attempts
        self._first_pause_s = first_pause_s
        self._lease_s = lease_s
        self._waiting: deque[Task] = deque()
        self._outage = Outage(
            logger, away="webhook deliveries wait for the store", back="webhook deliveries go on"
        )
        metrics.show_deliveries()

    def add(self, alert: Alert, *, session_id: str | None, label: str | None) -> None:
        """Take an alert; it is in the store with the next `write`."""
        delivery_id = secrets.token_hex(16)
        body = {
            "delivery_id": delivery_id,
            "session_id": session_id,
            "label": label,
            "alert": alert.model_dump(mode="json"),
        }
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._count("dropped")
        self._waiting.append(Task(delivery_id, json.dumps(body).encode()))

    async def keep_writing(self) -> None:
        """Put what waits into the store at regular intervals, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.write()

    async def keep_delivering(self) -> None:
        """Deliver what is due, until cancelled."""
        while True:
            if not await self.deliver():
                await asyncio.sleep(LOOK_EVERY_S)

    async def write(self) -> None:
        """Put what waits into the store, or let it wait on if the store is away."""
        tasks = list(self._waiting)
        if not tasks:
            return
        try:
            were_added = await self._store.add_tasks(tasks)
        except UpstreamUnavailable as fault:
            self._outage.begins(fault.detail)
            return
        self._outage.ends()
        written = {task.task_id for task in tasks}
        self._waiting = deque(task for task in self._waiting if task.task_id not in written)
        for was_added in were_added:
            if not was_added:  # the backlog is full
                self._count("dropped")

    async def deliver(self) -> bool:
        """Try everything that is due, a few at once; returns whether there was any."""
        try:
            leases = await self._store.lease_tasks(max_n=AT_ONCE, lease_s=self._lease_s)
        except UpstreamUnavailable as fault:
            self._outage.begins(fault.detail)
            return False
        self._outage.ends()
        async with asyncio.TaskGroup() as group:
            for lease in leases:
                group.create_task(self._deliver(lease))
        return bool(leases)

    async def _deliver(self, lease: Lease) -> None:
        outcome = await self._try(lease)
        self._count(outcome)
        try:
            if outcome == "failed":
                await self._store.postpone_task(lease, delay_s=self._pause_s(lease.attempt))
            else:
                await self._store.finish_task(lease)
        except UpstreamUnavailable as fault:  # the lease runs out, and another gateway tries again
            self._outage.begins(fault.detail)

    async def _try(self, lease: Lease) -> DeliveryOutcome:
        if lease.attempt > self._attempts:  # the worker crashed during the final attempt
            return "given_up"
        task = lease.task
        about = {"delivery_id": task.task_id, "attempt": lease.attempt}
        try:
            await self._sender.send(task.task_id, task.body, attempt=lease.attempt)
        except DeliveryFailed as fault:
            is_last = lease.attempt == self._attempts
            event = "a webhook delivery was given up" if is_last else "a webhook delivery failed"
            logger.warning(event, extra=about | {"reason": str(fault)})
            return "given_up" if is_last else "failed"
        logger.info("a webhook was delivered", extra=about)
        return "delivered"

    def _pause_s(self, attempt: int) -> float:
        pause_s = min(self._first_pause_s * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret

    def _count(self, outcome: DeliveryOutcome) -> None:
        self._metrics.webhook_deliveries.labels(outcome).inc()

"""The metrics of one process, in a registry of its own (base units, histograms, closed labels)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from fercore.contracts.api import UncertainReason
from fercore.messaging.handler import OUTCOMES
from fercore.messaging.queue import Backlog
from fercore.redis.vitals import Vitals
from fercore.service.errors import FAULT_STATUSES

# an edge at each objective: 25 ms and 40 ms a frame; quantiles are as true as edges are near each other
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.04, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5)
_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.04, 0.06, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 2.5, 5)
_COUNT_BUCKETS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)

StreamOutcome = Literal["result", "dropped", "refused", "failed"]
"""How a live frame is answered; of the errors, `refused` is the caller's fault and `failed` the cluster's."""

LossReason = Literal["crowded", "session_full", "store_away"]
"""Why a row of a recording is lost: too many faces, too many rows, or a state store that is away too long."""

DeliveryOutcome = Literal["delivered", "failed", "given_up", "dropped"]
"""How a try to deliver an alert ends; a delivery that is never tried is `dropped`."""


class Metrics:
    """All `fer_` metrics; each service fills those it knows.

    A service calls the `show_` method of what it is about to count. That creates a series for each value that
    a label can take: it is 0 from the start, so that the first event is an increase.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        labels = ("service", "route", "code")
        self.requests = counter("fer_requests_total", "Requests answered", labels)
        self.request_duration = histogram(
            "fer_request_duration_seconds", "Time to answer", labels, buckets=_REQUEST_BUCKETS
        )
        self.incomplete_answers = counter(
            "fer_incomplete_answers_total",
            "Requests for several images that were answered, though we failed some of these",
            ("route",),
        )
        self.stage_duration = histogram(
            "fer_stage_duration_seconds", "Time in a stage", ("stage",), buckets=_STAGE_BUCKETS
        )
        self.queue_depth = gauge("fer_queue_depth", "Messages waiting or in hand", ("stream",))
        self.queue_oldest = gauge(
            "fer_queue_oldest_seconds", "Age of the oldest message waiting or in hand", ("stream",)
        )
        self.queue_messages = counter(
            "fer_queue_messages_total", "Messages by how they ended", ("stream", "outcome")
        )
        redis = ("redis",)
        self.redis_up = gauge("fer_redis_up", "1 while this Redis answers, otherwise 0", redis)
        self.redis_memory = gauge("fer_redis_memory_bytes", "Memory that Redis uses", redis)
        self.redis_memory_limit = gauge(
            "fer_redis_memory_limit_bytes", "Memory at which Redis refuses writes; 0: no limit", redis
        )
        self.redis_clients = gauge("fer_redis_clients", "Connections to Redis, of all processes", redis)
        self.inflight = gauge("fer_inflight", "Images admitted and not answered")
        self.faces_per_frame = histogram(
            "fer_faces_per_frame", "Faces found in an image", buckets=_COUNT_BUCKETS
        )
        self.batch_size = histogram("fer_batch_size", "Faces in one inference call", buckets=_COUNT_BUCKETS)
        self.predictions = counter(
            "fer_predictions_total", "Faces by top emotion", ("model", "version", "emotion")
        )
        self.uncertain_faces = counter(
            "fer_uncertain_faces_total",
            "Faces that are marked uncertain, by reason; one may have both",
            ("model", "version", "reason"),
        )
        self.streams = gauge("fer_streams", "Live streams that are open")
        self.stream_frames = counter(
            "fer_stream_frames_total", "Frames of live streams by how they were answered", ("outcome",)
        )
        self.session_rows_lost = counter(
            "fer_session_rows_lost_total",
            "Seconds times faces of recorded sessions that were not kept",
            ("reason",),
        )
        self.alerts = counter("fer_alerts_total", "Alerts by rule", ("rule",))
        self.webhook_deliveries = counter(
            "fer_webhook_deliveries_total",
            "Tries to deliver an alert, and deliveries dropped, by outcome",
            ("outcome",),
        )
        self.model_info = gauge("fer_model_info", "1 for each model offered", ("model", "version"))
        self.build_info = gauge("fer_build_info", "1; the labels tell what runs", ("version", "service"))

    @contextmanager
    def stage(self, name: str) -> Iterator["StageTimer"]:
        """Time a stage; its milliseconds stand in the timer afterwards."""
        timer, start = StageTimer(), perf_counter()
        try:
            yield timer
        finally:
            seconds = perf_counter() - start
            timer.ms = seconds * 1000
            self.stage_duration.labels(name).observe(seconds)

    def show_route(self, service: str, route: str) -> None:
        """Show the failures of a route that answers for several images."""
        self.incomplete_answers.labels(route)
        for status in FAULT_STATUSES:
            self.requests.labels(service, route, str(status))

    def show_replies(self, stream: str) -> None:
        """Show replies that nobody awaits, and the time in all stages together."""
        self.queue_messages.labels(stream, "unawaited")
        self.stage_duration.labels("total")

    def show_stream_frames(self) -> None:
        """Show every `StreamOutcome`."""
        for outcome in get_args(StreamOutcome):
            self.stream_frames.labels(outcome)

    def show_lost_rows(self) -> None:
        """Show every `LossReason`."""
        for reason in get_args(LossReason):
            self.session_rows_lost.labels(reason)

    def show_alerts(self, rules: Iterable[str]) -> None:
        """Show the alerts of each rule."""
        for rule in rules:
            self.alerts.labels(rule)

    def show_deliveries(self) -> None:
        """Show every `DeliveryOutcome`."""
        for outcome in get_args(DeliveryOutcome):
            self.webhook_deliveries.labels(outcome)

    def show_model(self, model: str, version: str, emotions: Iterable[str]) -> None:
        """Show a model that is offered, every emotion that it knows and every `UncertainReason`."""
        self.model_info.labels(model, version).set(1)
        for emotion in emotions:
            self.predictions.labels(model, version, emotion)
        for reason in get_args(UncertainReason):
            self.uncertain_faces.labels(model, version, reason)

    def work_begins(self, stream: str) -> None:
        """Show how messages of a stream may end (see `fercore.messaging.handler.Observer`)."""
        for outcome in OUTCOMES:
            self.queue_messages.labels(stream, outcome)

    def messages_ended(self, stream: str, outcome: str, count: int) -> None:
        """Count messages of the queue (see `fercore.messaging.handler.Observer`)."""
        self.queue_messages.labels(stream, outcome).inc(count)

    def backlog_changed(self, stream: str, backlog: Backlog) -> None:
        """Report how full a stream is, and how long its oldest message waits."""
        self.queue_depth.labels(stream).set(backlog.depth)
        self.queue_oldest.labels(stream).set(backlog.oldest_ms / 1000)

    def redis_changed(self, redis: str, vitals: Vitals | None) -> None:
        """Report how a Redis is; of one that does not answer (None) no figure is known."""
        self.redis_up.labels(redis).set(vitals is not None)
        if vitals is None:
            for figure in (self.redis_memory, self.redis_memory_limit, self.redis_clients):
                figure.remove(redis)
        else:
            self.redis_memory.labels(redis).set(vitals.memory_bytes)
            self.redis_memory_limit.labels(redis).set(vitals.memory_limit_bytes)
            self.redis_clients.labels(redis).set(vitals.clients)

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)


class StageTimer:
    """Milliseconds of a finished stage."""

    ms: float = 0.0

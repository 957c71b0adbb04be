"""Traces: where the time of one request went, in every process; off unless FER_OTLP_ENDPOINT is set.

In another process a trace goes on by its W3C traceparent.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from fercore.service.settings import ServiceSettings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import SpanContext, Tracer

# OpenTelemetry is imported where it is used: where it is off it shall cost neither memory nor time
# ruff: noqa: PLC0415

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attribute = str | int | float
EXPORT_TIMEOUT_S = 5


class Span:
    """A stretch of time in a trace; without tracing it is nothing.

    Attributes:
        traceparent: W3C Trace Context, by which another process's span becomes this one's child; or empty.
        is_kept: whether it is sent to the collector: of some requests it is not (FER_TRACE_SHARE).
    """

    def __init__(self, span: "OtelSpan | None" = None, traceparent: str = "") -> None:
        self._span = span
        self.traceparent = traceparent
        self.is_kept = span is not None and span.is_recording()

    def rename(self, name: str) -> None:
        """Call it otherwise, now that more is known."""
        if self._span is not None:
            self._span.update_name(name)

    def note(self, **attributes: Attribute) -> None:
        """Add attributes, each as `fer.<name>`."""
        if self._span is not None:
            self._span.set_attributes(_named(attributes))

    def link(self, traceparent: str) -> None:
        """Point to a span that shares this work, when that one is known only now."""
        if self._span is not None:
            self._span.add_link(_pointed_at(traceparent))


class Tracing:
    """The spans of one process.

    Args:
        tracer: None turns tracing off.
    """

    def __init__(self, tracer: "Tracer | None" = None) -> None:
        self._tracer = tracer

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        parent: str | None = None,
        links: Sequence[str] = (),
        **attributes: Attribute,
    ) -> Iterator[Span]:
        """Time a block; what it raises marks the span as failed.

        Args:
            name: one of few.
            kind: its side of a call.
            parent: a traceparent from elsewhere, where an empty or malformed one begins a new trace; None
                goes on with the task's current span.
            links: traceparents of spans that share this work; empty and malformed ones are left out.
            attributes: each as `fer.<name>`; never pixels.
        """
        if self._tracer is None:
            yield _NOTHING
            return
        from opentelemetry.trace import Link, SpanKind

        shared = [_pointed_at(link) for link in links]
        with self._tracer.start_as_current_span(
            name,
            context=None if parent is None else _context(parent),
            kind=SpanKind[kind.upper()],
            attributes=_named(attributes),
            links=[Link(context) for context in shared if context.is_valid],
        ) as span:
            yield Span(span, _traceparent())

    def traceparent(self) -> str:
        """Return the traceparent of the task's current span; empty where there is none."""
        return _traceparent() if self._tracer is not None else ""


_NOTHING = Span()
OFF = Tracing()


@contextmanager
def tracing_of(service: str, settings: ServiceSettings) -> Iterator[Tracing]:
    """Yield the tracing of the process; at the end what is left is sent, in bounded time."""
    if not settings.otlp_endpoint:
        yield OFF
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    from fercore.service.span_export import SpanExport

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.trace_share)),
        resource=Resource.create({"service.name": f"fer-{service}"}),
        shutdown_on_exit=False,
    )
    exporter = SpanExport(f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout_s=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    try:
        yield Tracing(provider.get_tracer("fer"))
    finally:
        provider.shutdown()


def _named(attributes: dict[str, Attribute]) -> dict[str, Attribute]:
    return {f"fer.{name}": value for name, value in attributes.items()}


def _context(traceparent: str) -> "Context":
    """Read a traceparent; of an empty or malformed one comes a context without a span."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, context=Context())


def _pointed_at(traceparent: str) -> "SpanContext":
    """Return the span that a traceparent names; of an empty or malformed one an invalid one."""
    from opentelemetry.trace import get_current_span

    return get_current_span(_context(traceparent)).get_span_context()


def _traceparent() -> str:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")

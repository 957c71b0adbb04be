"""Spans of faces that share a call, what Triton is handed of them, and what the log tells of a collector."""

from collections.abc import Iterator
from functools import partial

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from fercore.inference.backend import Backend
from fercore.inference.triton import TritonBackend
from fercore.service.metrics import Metrics
from fercore.service.settings import ServiceSettings
from fercore.service.tracing import OFF, Tracing, tracing_of
from services.classifier.core import ClassifierCore
from services.classifier.handler import FaceHandler
from tests.support.collector import Collector
from tests.support.fakes import BrightnessBackend, model_folder
from tests.support.grpc_server import serving
from tests.support.waiting import until
from tests.unit.test_classifier import message

pytestmark = pytest.mark.anyio

AWAY, BACK = "the collector of traces is away", "the collector of traces is back"


class Kept:
    """The tracing of a process whose spans stay here."""

    def __init__(self, share: float = 1) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(share)))
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(self._provider.get_tracer("test"))

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def handler(backend: Backend, tracing: Tracing) -> FaceHandler:
    core = ClassifierCore([model_folder("a")], backend=backend, metrics=Metrics())
    return FaceHandler(core, lambda: 1000.0, infer_timeout_s=5, tracing=tracing)


def trace(number: int, *, is_sampled: bool = True) -> str:
    return f"00-{number:032x}-{number:016x}-0{int(is_sampled)}"


def pointed_at(span: ReadableSpan) -> set[tuple[int, int]]:
    return {(link.context.trace_id, link.context.span_id) for link in span.links}


def place(span: ReadableSpan) -> tuple[int, int]:
    return (span.context.trace_id, span.context.span_id)


async def test_of_frames_that_share_a_call_each_is_led_to_it(kept):
    ones = [message(number, trace=trace(number)) for number in (1, 2, 3)]
    await handler(BrightnessBackend(), kept.tracing)(ones)
    (call,) = kept.named("infer")
    first, *others = sorted(kept.named("classify"), key=lambda span: span.context.trace_id)
    assert [span.context.trace_id for span in (first, *others)] == [1, 2, 3]
    assert [span.parent.span_id for span in (first, *others)] == [1, 2, 3]
    assert (call.context.trace_id, call.parent.span_id) == place(first)
    assert pointed_at(first) == set()
    assert [pointed_at(span) for span in others] == [{place(call)}] * 2
    assert pointed_at(call) == {place(span) for span in others}


async def test_the_call_stands_in_a_trace_that_is_kept(kept):
    ones = [message(number, trace=trace(number, is_sampled=number == 2)) for number in (1, 2, 3)]
    await handler(BrightnessBackend(), kept.tracing)(ones)
    (frame,), (call,) = kept.named("classify"), kept.named("infer")
    assert (call.context.trace_id, call.parent.span_id) == place(frame)


class Listening(grpc.GenericRpcHandler):
    """A server that knows no method, and keeps what came beside each call."""

    def __init__(self) -> None:
        self.beside: list[dict[str, str]] = []

    def service(self, details: grpc.HandlerCallDetails) -> None:
        self.beside.append(dict(details.invocation_metadata))


async def handed_to_triton(tracing: Tracing) -> dict[str, str]:
    listener = Listening()
    async with serving(listener) as address:
        backend = TritonBackend(address, traceparent=tracing.traceparent)
        await handler(backend, tracing)([message(1, trace=trace(1))])
        await backend.close()
    (beside,) = listener.beside
    return beside


async def test_triton_is_handed_the_trace_so_that_its_own_spans_go_on_with_it(kept):
    traceparent = (await handed_to_triton(kept.tracing))["traceparent"]
    (call,) = kept.named("infer")
    assert traceparent == f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}-01"


async def test_triton_is_handed_nothing_where_tracing_is_off():
    assert "traceparent" not in await handed_to_triton(OFF)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def has_been_asked(collector: Collector, times: int) -> bool:
    return collector.asked >= times


def test_a_collector_that_is_away_is_told_once_and_once_that_it_is_back(collector, caplog):
    collector.status = 404  # for which nobody tries again
    with tracing_of("gateway", ServiceSettings(otlp_endpoint=collector.url)) as tracing:
        for batch in range(2):
            spend(tracing, spans=1)
            until(partial(has_been_asked, collector, batch + 1))
        spend(tracing, spans=5000)  # more than wait for it
        until(lambda: collector.asked > 2)
        collector.status = 200
        spend(tracing, spans=1)
        until(lambda: BACK in caplog.text)
        collector.status = 503
        spend(tracing, spans=1)
        until(lambda: caplog.text.count(AWAY) == 2)
    assert [record.getMessage() for record in caplog.records] == [AWAY, BACK, AWAY]
    assert "404" in caplog.records[0].reason
    assert "Service Unavailable" in caplog.records[2].reason


def test_a_collector_that_is_there_is_no_line_of_the_log(collector, caplog):
    with tracing_of("gateway", ServiceSettings(otlp_endpoint=collector.url)) as tracing:
        spend(tracing, spans=3)
    assert (len(collector.spans), caplog.records) == (3, [])


def spend(tracing: Tracing, *, spans: int) -> None:
    for _ in range(spans):
        with tracing.span("one"):
            pass

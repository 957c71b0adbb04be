"""A collector of traces for tests: OTLP over HTTP on a free port, spans kept as a viewer would see them."""

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """One span; ids are hexadecimal, an empty parent begins the trace."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    is_failed: bool
    links: tuple[tuple[str, str], ...]
    """Traces and spans that it points to."""


class Collector:
    """Used as a context manager.

    Attributes:
        status: what it answers; but for 200 it keeps nothing.
        asked: how often it was.
    """

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.status = 200
        self.asked = 0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                status = collector.status
                collector.asked += 1
                if status == 200:
                    collector.spans += spans_of(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, is_there: Callable[[list[Seen]], bool], timeout_s: float = 20) -> list[Seen]:
        """Give all spans once they are what the test waits for."""
        deadline = time.monotonic() + timeout_s
        while not is_there(self.spans):
            assert time.monotonic() < deadline, self.spans
            time.sleep(0.05)
        return list(self.spans)


def spans_of(body: bytes) -> list[Seen]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Seen(
            service=next(a.value.string_value for a in part.resource.attributes if a.key == "service.name"),
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            attributes={a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes},
            is_failed=span.status.code == 2,
            links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        )
        for part in request.resource_spans
        for scope in part.scope_spans
        for span in scope.spans
    ]

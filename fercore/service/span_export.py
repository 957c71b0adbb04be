"""Send spans to a collector by OTLP over HTTP; an outage and its end are logged once each.

Imported only where traces are sent.
"""

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._shared_internal import BatchProcessor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from typing_extensions import override

from fercore.outage import Outage

logger = logging.getLogger(__name__)
_exporting = logging.getLogger(OTLPSpanExporter.__module__)
_batching = logging.getLogger(BatchProcessor.__module__)


class SpanExport(OTLPSpanExporter):
    """Stands in for the library's exporter, which would log each failed try.

    Args:
        endpoint: the collector's address of traces.
        timeout_s: of a batch, tries again included; then it is lost.
    """

    def __init__(self, endpoint: str, *, timeout_s: float) -> None:
        super().__init__(endpoint, timeout=timeout_s)
        self._outage = Outage(
            logger, away="the collector of traces is away", back="the collector of traces is back"
        )
        self._reason = ""
        _exporting.addFilter(self._note)
        _batching.addFilter(self._is_worth_telling)

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; see `SpanExporter`."""
        self._reason = ""
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS:
            self._outage.ends()
        else:
            self._outage.begins(self._reason)
        return result

    @override
    def shutdown(self) -> None:
        """Send nothing more; see `SpanExporter`."""
        super().shutdown()  # type: ignore[no-untyped-call]  # the library gives it no types
        _exporting.removeFilter(self._note)
        _batching.removeFilter(self._is_worth_telling)

    def _note(self, record: logging.LogRecord) -> bool:
        """Keep the first message about a batch, for it is the reason, and log none of them."""
        self._reason = self._reason or record.getMessage()
        return False

    def _is_worth_telling(self, _: logging.LogRecord) -> bool:
        """Log that spans are lost only where a collector answers and is too slow."""
        return not self._outage.is_on

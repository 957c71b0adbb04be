"""The one form of a log's lines, as docs/operations.md gives it, for tests to hold logs against."""

import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fercore.service.logging import JsonFormatter

RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,80}$")]


class LogLine(BaseModel):
    """One line; what is not said of an event is not there."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$")]
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    service: Literal["gateway", "detector", "classifier", "allinone", "triton", "haproxy"]
    logger: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]
    event: Annotated[str, Field(min_length=1)]
    request_id: RequestId = ""
    request_ids: Annotated[list[RequestId], Field(min_length=1)] = []
    duration_ms: Annotated[float, Field(ge=0)] = 0
    details: dict[str, JsonValue] = {}
    traceback: str = ""

    @property
    def concerns(self) -> set[str]:
        """The requests."""
        return {*self.request_ids, *filter(None, [self.request_id])}


def log_lines(text: str) -> list[LogLine]:
    """Read a log; any line of another form is an error."""
    return [LogLine.model_validate_json(line) for line in text.splitlines()]


Told = Callable[[str], list[LogLine]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    """Give the lines of an event that this process has logged, as a service would have."""
    before = caplog.handler.formatter
    caplog.handler.setFormatter(JsonFormatter("gateway"))
    for ours in ("fercore", "services"):
        caplog.set_level(logging.DEBUG, ours)
    yield lambda event: [line for line in log_lines(caplog.text) if line.event == event]
    caplog.handler.setFormatter(before)

"""The form of a log: each line one JSON object, of the fields that docs/operations.md lists.

What a caller sent never stands in a log: no pixels, no file names.
"""

import json
import logging
import math
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import PurePath

from typing_extensions import override

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that the running task serves."""

request_ids_var: ContextVar[tuple[str, ...] | None] = ContextVar("request_ids", default=None)
"""The requests that the running task serves together."""

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object.

    Of a log call's `extra`, `request_id`, `request_ids` and `duration_ms` are fields of the line; all else
    stands in `details`, so that it can hide no field.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    @override
    def format(self, record: logging.LogRecord) -> str:
        extras = {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "event": _text(record.getMessage()),
        }
        fields = {
            "request_id": request_id_var.get(),
            "request_ids": request_ids_var.get(),
            "duration_ms": None,
        }
        for name, otherwise in fields.items():
            if (value := extras.pop(name, otherwise)) is not None:
                line[name] = _plain(value)
        if extras:
            line["details"] = {name: _plain(value) for name, value in extras.items()}
        if record.exc_info:
            line["traceback"] = _text(self.formatException(record.exc_info))
        return json.dumps(line)  # in ASCII: of all line breaks that there are, none is left


def _plain(value: object) -> object:
    """Return text, numbers and lists of them as they are, and of all else the type: it may be pixels."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return _text(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case PurePath():
            return _text(str(value))
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return f"<{type(value).__name__}>"


def _text(value: str) -> str:
    """Replace what is no character: a part of a file's name, say, which JSON cannot hold."""
    return value.encode(errors="replace").decode()

"""All that a process writes is its log: uncaught exceptions, warnings, what C libraries print.

Used once a process, before what the service needs is imported.
"""

import asyncio
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from fercore.service.logging import JsonFormatter
from fercore.vision.jpeg import PROBE_WARNING

_OURS = ("fercore", "services")
_LONGEST_LINE = 4096
_STDOUT, _STDERR = 1, 2

logger = logging.getLogger(__name__)
_prints = logging.getLogger("prints")


@contextmanager
def process_log(service: str) -> Iterator[None]:
    """Write logs to standard error as JSON, and make lines of the log of all else that the process writes.

    Only a terminal's standard output is left alone: a person reads it. Where the block ends by a `SystemExit`
    with words, they are logged, and the status is 1.
    """
    handler = logging.StreamHandler(os.fdopen(os.dup(_STDERR), "w", encoding="utf-8"))
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(handlers=[handler], force=True)
    logging.raiseExceptions = False  # else what cannot be logged is printed, its arguments and all
    set_level("INFO")
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_uncaught_in_thread
    with _log_all_prints():
        try:
            yield
        except SystemExit as stop:
            if not isinstance(stop.code, str):
                raise
            logger.critical("the service cannot start", extra={"reason": stop.code})
            raise SystemExit(1) from None


def set_level(level: str) -> None:
    """Set our log level; libraries log from WARNING on at any level, for below it they may log secrets."""
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    logging.getLogger().setLevel(max(logging.WARNING, logger.getEffectiveLevel()))


def log_loop_fault(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what an event loop reports; the objects concerned are left out, for they may be data."""
    reason = re.split(r"[(<\n]", context["message"], maxsplit=1)[0].strip()
    logger.error("a fault that nobody awaited", extra={"reason": reason}, exc_info=context.get("exception"))


def _log_uncaught(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logger.critical("the process ends by a fault", exc_info=(kind, fault, trace))


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    logger.error("a fault that could not be raised", exc_info=unraisable.exc_value)


def _log_uncaught_in_thread(uncaught: threading.ExceptHookArgs) -> None:
    if uncaught.exc_type is not SystemExit:
        logger.error("a thread ended by a fault", exc_info=uncaught.exc_value)


@contextmanager
def _log_all_prints() -> Iterator[None]:
    """Log what is printed by Python or C, such as libjpeg's warnings about corrupt input."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)  # no print waits: what comes faster than it is read is lost
    kept = {
        number: os.dup(number) for number in (_STDOUT, _STDERR) if number == _STDERR or not os.isatty(number)
    }
    for number in kept:
        os.dup2(write_end, number)
    os.close(write_end)
    reader = threading.Thread(target=_log_prints, args=(read_end,), name="prints", daemon=True)
    reader.start()
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, before in kept.items():
            os.dup2(before, number)
            os.close(before)
        reader.join(timeout=1)


def _log_prints(read_end: int) -> None:
    with open(read_end, encoding="utf-8", errors="replace") as lines:
        while line := lines.readline(_LONGEST_LINE):
            if line.strip() and PROBE_WARNING not in line:
                _prints.warning("%s", line.strip())

"""Waiting for something from outside: tests poll with a deadline and never sleep for luck."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], *, timeout_s: float = 120) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {timeout_s} s"
        time.sleep(0.1)

"""Every line is one JSON object of the documented fields, whatever is logged."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest

from fercore.service.logging import JsonFormatter, request_id_var, request_ids_var
from tests.support.log_lines import LogLine, log_lines

OPERATIONS = Path(__file__).parent.parent.parent / "docs/operations.md"


def line(message: str, *args: object, **extra: object) -> LogLine:
    record = logging.makeLogRecord(
        {"msg": message, "args": args, "levelname": "INFO", "name": "test", **extra}
    )
    text = JsonFormatter("gateway").format(record)
    assert text.isascii()
    (read,) = log_lines(text)
    return read


@pytest.mark.parametrize("text", ['she said "no"\nand left', "a\u2028b\x85c\x1cd\re", "\ud800 \x00", "ü"])
def test_no_text_breaks_the_line(text):
    logged = line(text, given=text)
    assert logged.event == logged.details["given"] == text.replace("\ud800", "?")


def test_an_extra_hides_no_field_of_the_line():
    given = {
        "time": 1,
        "level": "none",
        "service": "x",
        "logger": 2,
        "event": "e",
        "traceback": 3,
        "details": 4,
    }
    logged = line("request", **given)
    assert (logged.level, logged.service, logged.logger, logged.event) == (
        "INFO",
        "gateway",
        "test",
        "request",
    )
    assert logged.traceback == ""
    assert logged.details == given


def test_a_line_carries_the_running_requests_id_or_ids():
    token, tokens = request_id_var.set("abc"), request_ids_var.set(("d", "e"))
    try:
        logged = line("request", duration_ms=1.5)
        told = line("request", request_id="other", request_ids=["f"])
    finally:
        request_id_var.reset(token)
        request_ids_var.reset(tokens)
    assert (logged.request_id, logged.request_ids, logged.duration_ms) == ("abc", ["d", "e"], 1.5)
    assert (told.request_id, told.request_ids) == ("other", ["f"])
    assert line("later").model_fields_set == {"time", "level", "service", "logger", "event"}


@pytest.mark.parametrize(
    "pixels", [b"\xff\xd8", bytearray(9), memoryview(b"x"), np.zeros(3), object(), {"a": 1}]
)
def test_what_is_neither_text_nor_number_is_told_by_its_type(pixels):
    name = f"<{type(pixels).__name__}>"
    assert line("frame", image=pixels, images=[pixels, 1]).details == {"image": name, "images": [name, 1]}


def test_numbers_that_json_does_not_know_are_text():
    assert line("figures", a=float("nan"), b=-float("inf"), c=0.5, d=Path("/m")).details == {
        "a": "nan",
        "b": "-inf",
        "c": 0.5,
        "d": "/m",
    }


def test_a_traceback_stands_in_its_own_field():
    try:
        raise ValueError("broken")
    except ValueError as err:
        logged = line("failed", exc_info=(type(err), err, err.__traceback__))
    assert "ValueError: broken" in logged.traceback


def test_the_fields_are_those_of_the_documentation():
    (section,) = re.findall(
        r"^## Logs$(.*?)^The first five", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(LogLine.model_fields)

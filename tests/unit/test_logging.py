"""Every line is one JSON object with the request's id, whatever stands in it."""

import json
import logging

from fercore.service.logging import JsonFormatter, request_id_var


def line(message: str, **extra: object) -> dict:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "test", **extra})
    text = JsonFormatter("gateway").format(record)
    assert "\n" not in text
    return json.loads(text)


def test_quotes_and_newlines_do_not_break_the_line():
    assert line('she said "no"\nand left')["event"] == 'she said "no"\nand left'


def test_a_line_carries_service_extras_and_the_running_requests_id():
    token = request_id_var.set("abc")
    try:
        logged = line("request", duration_ms=1.5)
    finally:
        request_id_var.reset(token)
    assert logged["service"] == "gateway"
    assert logged["duration_ms"] == 1.5
    assert logged["request_id"] == "abc"
    assert "request_id" not in line("later")


def test_a_traceback_stands_in_its_own_field():
    try:
        raise ValueError("broken")
    except ValueError as err:
        logged = line("failed", exc_info=(type(err), err, err.__traceback__))
    assert "ValueError: broken" in logged["traceback"]

"""The one table from fault codes to HTTP statuses, and the one form in which a fault is answered (RFC 9457).

Never a traceback, never an internal name: what is no `FerError` is answered as `internal`.
"""

import json
import logging
import textwrap
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fercore.contracts.api import Problem
from fercore.contracts.errors import ErrorCode, FerError, InternalError, InvalidRequest
from fercore.service.logging import request_id_var

STATUS: dict[ErrorCode, int] = {
    "payload_too_large": 413,
    "unsupported_media": 415,
    "invalid_image": 422,
    "invalid_request": 422,
    "unknown_model": 404,
    "unknown_detector": 404,
    "unknown_session": 404,
    "overloaded": 503,
    "not_ready": 503,
    "upstream_unavailable": 503,
    "deadline_exceeded": 504,
    "internal": 500,
}
FAULT_STATUSES = tuple(sorted({status for status in STATUS.values() if status >= 500}))
"""Of faults that are ours, not the caller's."""

RETRY_AFTER_S = 1
_LONGEST_DETAIL = 300

PROBLEM_JSON = "application/problem+json"

PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {
        "description": ", ".join(code for code, of_code in STATUS.items() if of_code == status),
        "content": {PROBLEM_JSON: {"schema": Problem.model_json_schema()}},
    }
    for status in sorted(set(STATUS.values()))
}
"""The `responses` of a route that answers with problems, for its OpenAPI entry."""

logger = logging.getLogger(__name__)


def problem(error: FerError, *, instance: str, request_id: str | None = None) -> Problem:
    """Return the public form of a fault."""
    return _problem(error.code, STATUS[error.code], error.detail, instance, request_id)


def problem_response(error: FerError, *, instance: str) -> Response:
    """Return the HTTP answer to a fault."""
    return _response(problem(error, instance=instance))


def is_ours(fault: FerError) -> bool:
    """Return whether a fault is the cluster's; else it is the caller's."""
    return STATUS[fault.code] in FAULT_STATUSES


def log_fault(fault: FerError) -> None:
    """Log a fault that is ours, not the caller's; one that is a bug with its traceback."""
    if fault.code == "internal":
        logger.error("a request failed", exc_info=fault)
    elif is_ours(fault):
        logger.warning("a request failed", extra={"code": fault.code, "reason": fault.detail})


def add_error_handlers(app: FastAPI) -> None:
    """Answer every fault, wrong parameter, unknown path and wrong method as problem+json."""

    async def on_fault(request: Request, error: Exception) -> Response:
        fault = error if isinstance(error, FerError) else InternalError()
        log_fault(fault)
        return problem_response(fault, instance=request.url.path)

    async def on_wrong_parameters(request: Request, error: Exception) -> Response:
        faults = error.errors() if isinstance(error, RequestValidationError) else []
        return problem_response(InvalidRequest(describe(faults)), instance=request.url.path)

    async def on_http_exception(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        phrase = HTTPStatus(status).phrase
        code = phrase.lower().replace(" ", "_")
        response = _response(_problem(code, status, phrase, request.url.path, None))
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    app.add_exception_handler(FerError, on_fault)
    app.add_exception_handler(RequestValidationError, on_wrong_parameters)
    app.add_exception_handler(HTTPException, on_http_exception)


def describe(faults: object) -> str:
    """Return pydantic's list of faults as one line, without the values that were sent."""
    if not isinstance(faults, list | tuple) or not faults:
        return "the request is not of the documented form"
    lines = []
    for fault in faults:
        place = ".".join(str(part) for part in fault["loc"] if part not in ("query", "body"))
        lines.append(f"{place}: {fault['msg']}" if place else str(fault["msg"]))
    return textwrap.shorten("; ".join(lines), _LONGEST_DETAIL, placeholder=" ...")


def _problem(code: str, status: int, detail: str, instance: str, request_id: str | None) -> Problem:
    return Problem(
        type=f"urn:fer:error:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        code=code,
        request_id=request_id or request_id_var.get() or "",
    )


def _response(body: Problem) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if body.status in (429, 503) else None
    return Response(
        json.dumps(body.model_dump(mode="json")),
        status_code=body.status,
        headers=headers,
        media_type=PROBLEM_JSON,
    )

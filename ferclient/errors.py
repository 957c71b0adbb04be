"""What may go wrong between a caller and a server; the one family of the client's exceptions.

ClientError
+-- Unreachable          nobody answers there; also a ConnectionError
+-- Refused              the server answered a problem: code, status, detail, request_id
+-- StreamClosed         the server closed a stream for good: close_code, reason
+-- UnreadableAnswer     what came is no answer of this service
"""

import os
from typing import Self

from fercore.contracts.api import Problem

AWAY = frozenset({"not_ready", "upstream_unavailable"})
"""Codes of a server that is there and cannot serve."""

OF_EVERY_REQUEST = AWAY | {
    "invalid_request",
    "not_found",
    "unknown_model",
    "unknown_detector",
    "unauthorized",
}
"""Codes that every image with the same options would be answered."""


class ClientError(Exception):
    """Base of all that the client raises itself."""


class Unreachable(ClientError, ConnectionError):
    """Nobody answers at `url`, or the connection broke and could not be made again in time."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"nobody answers at {url}: {reason}")
        self.url = url
        self.reason = reason


class Refused(ClientError):
    """The server answered a problem (RFC 9457).

    Attributes:
        code: stable and machine-readable, such as `invalid_image`; the README lists them.
        status: of HTTP; None for a problem that came through a stream.
        detail: one sentence for a person.
        request_id: what the server's log calls this request.
        is_of_the_image: another image may be answered; False means that none will be.
    """

    def __init__(self, code: str, detail: str, *, request_id: str, status: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.is_of_the_image = code not in OF_EVERY_REQUEST

    @classmethod
    def by(cls, problem: Problem) -> Self:
        """Build it from the body of an answer."""
        return cls(problem.code, problem.detail, request_id=problem.request_id, status=problem.status)

    @property
    def is_of_the_picture(self) -> bool:
        """The former name of `is_of_the_image`."""
        return self.is_of_the_image


class StreamClosed(ClientError):
    """The server closed a stream, and not because it went away (RFC 6455, section 7.4).

    Attributes:
        close_code: such as 1008 (not allowed) or 1009 (a frame is too large).
        reason: the server's own words, perhaps none.
    """

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(f"the server closed the stream: {close_code} {reason}".rstrip())
        self.close_code = close_code
        self.reason = reason


class UnreadableAnswer(ClientError):
    """What answered is no fer-cluster, or one of a time that this client does not know."""


def reason_of(error: Exception) -> str:
    """Return the system's own words for a failed connection, such as "Connection refused", if any."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    if isinstance(inner, ConnectionError) and inner.errno is not None:
        return os.strerror(inner.errno)
    return (isinstance(inner, OSError) and inner.strerror) or str(error) or type(error).__name__

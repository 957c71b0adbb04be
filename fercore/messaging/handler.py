"""What a service gives the consume loop, and what it gives back for each message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fercore.messaging.queue import Backlog, Channel, ReceivedMessage


@dataclass(frozen=True, slots=True)
class Forward:
    """The message goes on to the next stream with this body, and with this traceparent if there is one."""

    channel: Channel
    body: bytes
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The caller is answered with this body, a result or a fault."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Dead:
    """The body cannot be read: the message becomes a dead letter, and the caller is answered `internal`."""

    reason: str


Outcome = Forward | Reply | Dead

OUTCOMES = ("done", "expired", "dead", "taken_over")
"""What an observer counts: each message ends as one of the first three; `taken_over` are claims."""


class Handler(Protocol):
    """What a service does with its messages; nothing it raises ends the loop."""

    async def __call__(self, messages: Sequence[ReceivedMessage]) -> Sequence[Outcome]:
        """Return for each message, in order, how it ends; a raised fault answers all of them.

        Every message has an envelope and, when the call begins, time left.
        """
        ...


class Observer(Protocol):
    """The seam to metrics."""

    def work_begins(self, stream: str) -> None:
        """Note that messages of this stream may end from now on, by any of `OUTCOMES`."""
        ...

    def messages_ended(self, stream: str, outcome: str, count: int) -> None:
        """Count messages by one of `OUTCOMES`; the count may be 0."""
        ...

    def backlog_changed(self, stream: str, backlog: Backlog) -> None:
        """Note how many messages wait or are in hand, and for how long."""
        ...

"""Turn envelopes into stream fields and back, and a dead message into the record that is kept of it."""

import hashlib
import math
from collections.abc import Mapping

from fercore.messaging.queue import ENVELOPE_VERSION, Envelope, ReceivedMessage

_VERSION = str(ENVELOPE_VERSION).encode()
_ROUTING_FIELDS = ("v", "request_id", "reply_to", "deadline_ms", "trace", "sent_ms")
_MAX_KEPT_BYTES = 256


def to_fields(envelope: Envelope, *, sent_ms: float) -> dict[str, bytes]:
    """Write an envelope as stream fields; the body is the same object, not a copy."""
    return {
        "v": _VERSION,
        "request_id": envelope.request_id.encode(),
        "reply_to": envelope.reply_to.encode(),
        "deadline_ms": _write_ms(envelope.deadline_ms),
        "trace": envelope.trace.encode(),
        "sent_ms": _write_ms(sent_ms),
        "body": envelope.body,
    }


def from_fields(fields: Mapping[str, bytes]) -> Envelope | None:
    """Read an envelope, or None when the fields are no envelope of this version."""
    address = return_address(fields)
    if address is None or fields.get("v") != _VERSION:
        return None
    try:
        return Envelope(
            request_id=address[0],
            reply_to=address[1],
            deadline_ms=_read_ms(fields["deadline_ms"]),
            body=fields["body"],
            trace=fields["trace"].decode(),
            sent_ms=_read_ms(fields["sent_ms"]),
        )
    except (KeyError, ValueError):
        return None


def return_address(fields: Mapping[str, bytes]) -> tuple[str, str] | None:
    """Read `request_id` and `reply_to`: all that is needed to answer a message that cannot be read."""
    try:
        request_id, reply_to = fields["request_id"].decode(), fields["reply_to"].decode()
    except (KeyError, UnicodeDecodeError):
        return None
    return (request_id, reply_to) if request_id and reply_to else None


def dead_record(message: ReceivedMessage, reason: str) -> dict[str, bytes]:
    """Build the record of a dead letter: its routing fields, and of its body only size and SHA-256.

    Fields this version does not know are left out, for they may hold an image.
    """
    body = message.fields.get("body", b"")
    kept = {
        name: message.fields[name][:_MAX_KEPT_BYTES] for name in _ROUTING_FIELDS if name in message.fields
    }
    return kept | {
        "stream": message.channel.stream.encode(),
        "message_id": message.message_id.encode(),
        "deliveries": str(message.attempts).encode(),
        "reason": reason.encode()[:_MAX_KEPT_BYTES],
        "body_bytes": str(len(body)).encode(),
        "body_sha256": hashlib.sha256(body).hexdigest().encode(),
    }


def _write_ms(milliseconds: float) -> bytes:
    return f"{milliseconds:.3f}".encode()


def _read_ms(text: bytes) -> float:
    milliseconds = float(text)
    if not math.isfinite(milliseconds):
        raise ValueError("not a point in time")
    return milliseconds

"""Read an image out of a JSON string: base64 in any of its usual forms, or a data URL.

Sources: RFC 4648 (both alphabets), RFC 2045 (line breaks), RFC 2397 (data URLs).
"""

import binascii
import re

from fercore.contracts.errors import InvalidRequest, PayloadTooLarge

_LINE_BREAKS = b" \t\r\n"
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_VALID = re.compile(r"[A-Za-z0-9+/_\-\s]*(?:=\s*){0,2}")


def read_base64(text: str, name: str, *, max_bytes: int) -> bytes:
    """Decode base64 of either alphabet, with or without line breaks and padding.

    Args:
        text: what stands in the JSON; may be a data URL.
        name: what it is called there, for the fault.
        max_bytes: of the decoded image.

    Raises:
        InvalidRequest: it is not base64; the fault says at which character, counted from 1.
        PayloadTooLarge: more than `max_bytes`.
    """
    start = 0
    if text.startswith("data:"):
        start = text.find(",") + 1
        if not text[:start].endswith(";base64,"):
            raise InvalidRequest(f"`{name}`: a data URL must be `data:<type>;base64,<data>`")
    coded = text[start:].encode("utf-8", "replace").translate(_TO_STANDARD, delete=_LINE_BREAKS)
    if len(coded) * 3 // 4 > max_bytes + 2:
        raise PayloadTooLarge("the image", max_bytes)
    try:
        return binascii.a2b_base64(coded + b"=" * (-len(coded) % 4), strict_mode=True)
    except binascii.Error as err:
        raise InvalidRequest(f"`{name}` is not base64: {_fault(text, start)}") from err


def _fault(text: str, start: int) -> str:
    found = _VALID.match(text, start)
    end = found.end() if found else start
    if end < len(text):
        return f"character {end + 1} is {text[end]!r}"
    return f"it ends too early or too late, after character {end}"

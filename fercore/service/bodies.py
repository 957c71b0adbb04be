"""Read the pictures out of a request body: multipart, raw or JSON; counted while they arrive.

Nothing is written to disk and nothing is decoded but base64. Sources: RFC 7578, RFC 2397.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import Protocol

from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from fercore.contracts.api import JsonImages
from fercore.contracts.errors import DeadlineExceeded, InvalidRequest, PayloadTooLarge, UnsupportedMedia
from fercore.service.errors import describe

FILE_FIELD = "file"
_RAW_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "application/octet-stream"})
_LARGE_BODY_BYTES = 500_000
_SPARE_JSON_STRINGS = 16

OPENAPI_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FILE_FIELD],
                "properties": {
                    FILE_FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}}
                },
            }
        },
        "application/json": {"schema": JsonImages.model_json_schema()},
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in sorted(_RAW_TYPES)},
    },
}
"""The `requestBody` of a route that calls `read_images`, for its OpenAPI entry."""


class BodyLimits(Protocol):
    """The settings that bound a body."""

    @property
    def max_image_bytes(self) -> int:
        """Largest encoded picture."""
        ...

    @property
    def max_body_bytes(self) -> int:
        """Largest body."""
        ...

    @property
    def max_images(self) -> int:
        """Most pictures in one body."""
        ...

    @property
    def body_timeout_s(self) -> float:
        """Seconds in which the body must arrive."""
        ...


async def read_images(request: Request, limits: BodyLimits, take_bytes: Callable[[int], None]) -> list[bytes]:
    """Give the encoded pictures of a request, in order, at least one.

    Args:
        request: its body must not have been read.
        limits: what is allowed.
        take_bytes: called with the length of each chunk as it arrives; may raise to refuse it.

    Raises:
        PayloadTooLarge: a picture or the body is over its limit (the rest is not read).
        UnsupportedMedia: the content type is none of multipart/form-data, JSON or an image.
        InvalidRequest: the body is not of the documented form, or holds too many pictures or none.
        DeadlineExceeded: the body did not arrive in time.
    """
    content_type, parameters = parse_options_header(request.headers.get("content-type", ""))
    collector: _Collector
    if content_type == b"multipart/form-data":
        collector = _MultipartCollector(parameters.get(b"boundary", b""), limits)
    elif content_type == b"application/json":
        collector = _JsonCollector(limits)
    elif content_type.decode("latin-1") in _RAW_TYPES:
        collector = _RawCollector(limits)
    else:
        raise UnsupportedMedia(
            "send multipart/form-data with `file`, JSON with `image` or `images`, or a raw JPEG, PNG or WebP"
        )
    total = 0
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in request.stream():
                total += len(chunk)
                if total > limits.max_body_bytes:
                    raise PayloadTooLarge("the body", limits.max_body_bytes)
                take_bytes(len(chunk))
                collector.add(chunk)
    except TimeoutError as err:
        raise DeadlineExceeded(f"the body did not arrive in {limits.body_timeout_s} s") from err
    if total > _LARGE_BODY_BYTES:  # parsing JSON and base64 takes long enough to hold up other requests
        return await asyncio.to_thread(collector.images)
    return collector.images()


class _Collector(Protocol):
    def add(self, chunk: bytes) -> None: ...

    def images(self) -> list[bytes]: ...


class _RawCollector:
    """The body is the picture."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limit = limits.max_image_bytes
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > self._limit:
            raise PayloadTooLarge("the image", self._limit)

    def images(self) -> list[bytes]:
        return [bytes(self._body)]


class _JsonCollector:
    """The body is JSON with one or several pictures in base64."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk

    def images(self) -> list[bytes]:
        # base64 holds no quotes: more of them than strings are allowed means junk that is dear to parse
        if self._body.count(b'"') > 2 * (self._limits.max_images + _SPARE_JSON_STRINGS):
            raise InvalidRequest(f"more than {self._limits.max_images} images, or unknown fields")
        try:
            parsed = JsonImages.model_validate_json(self._body)
        except ValidationError as err:
            faults = err.errors(include_url=False, include_input=False, include_context=False)
            raise InvalidRequest(describe(faults)) from err
        texts = parsed.images if parsed.images is not None else [parsed.image or ""]
        if len(texts) > self._limits.max_images:
            raise InvalidRequest(f"more than {self._limits.max_images} images")
        return [self._decoded(text) for text in texts]

    def _decoded(self, text: str) -> bytes:
        if text.startswith("data:"):
            head, comma, text = text.partition(",")
            if not comma or not head.endswith(";base64"):
                raise InvalidRequest("a data URL must be `data:<type>;base64,<data>`")
        if len(text) * 3 // 4 > self._limits.max_image_bytes + 2:
            raise PayloadTooLarge("the image", self._limits.max_image_bytes)
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as err:
            raise InvalidRequest("an image is not base64") from err


class _MultipartCollector:
    """The body is a form with one or several files named `file`."""

    def __init__(self, boundary: bytes, limits: BodyLimits) -> None:
        if not boundary:
            raise InvalidRequest("the multipart body names no boundary")
        self._limits = limits
        self._images: list[bytes] = []
        self._part = bytearray()
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._is_finished = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_header_name,
                    "on_header_value": self._add_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._check_part,
                    "on_part_data": self._add_data,
                    "on_part_end": self._end_part,
                    "on_end": self._finish,
                },
            )
        except FormParserError as err:
            raise InvalidRequest("the multipart boundary is not valid") from err

    def add(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as err:
            raise InvalidRequest("the multipart body is damaged") from err

    def images(self) -> list[bytes]:
        if not self._is_finished:
            raise InvalidRequest("the multipart body is cut short")
        if not self._images:
            raise InvalidRequest(f"the form has no `{FILE_FIELD}`")
        return self._images

    def _begin_part(self) -> None:
        if len(self._images) == self._limits.max_images:
            raise InvalidRequest(f"more than {self._limits.max_images} images")
        self._part = bytearray()
        self._disposition = b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _check_part(self) -> None:
        _, parameters = parse_options_header(self._disposition)
        if parameters.get(b"name") != FILE_FIELD.encode():
            raise InvalidRequest(f"the form has a field that is not `{FILE_FIELD}`")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._part += data[start:end]
        if len(self._part) > self._limits.max_image_bytes:
            raise PayloadTooLarge("the image", self._limits.max_image_bytes)

    def _end_part(self) -> None:
        self._images.append(bytes(self._part))

    def _finish(self) -> None:
        self._is_finished = True

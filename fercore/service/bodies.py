"""Read the images out of a request body: multipart, JSON, or the body as it is; counted while they arrive.

Nothing is written to disk and nothing is decoded but base64. Sources: RFC 7578 (forms), RFC 2397 (data URLs).
"""

import asyncio
import re
from collections.abc import Callable
from typing import Protocol

from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from fercore.contracts.api import JsonImages
from fercore.contracts.errors import DeadlineExceeded, InvalidRequest, PayloadTooLarge, UnsupportedMedia
from fercore.service.base64_images import read_base64
from fercore.service.errors import describe
from fercore.service.settings import ImageLimits

FILE_FIELD = "file"
FORMS = (
    f"send multipart/form-data with `{FILE_FIELD}`, JSON with `image` or `images`, "
    "or a raw JPEG, PNG or WebP as image/jpeg, image/png or image/webp"
)
_OCTETS = frozenset({"application/octet-stream", "binary/octet-stream"})
_LARGE_BODY_BYTES = 500_000
_SPARE_JSON_STRINGS = 16
_JSON_START = re.compile(rb'[ \t\r\n]*[{\["\-0-9tfn]')
_SPARE_PARTS = 16
_LONGEST_NAME = 60

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
        **{
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in ("application/octet-stream", "image/jpeg", "image/png", "image/webp")
        },
    },
}
"""The `requestBody` of a route that calls `read_images`, for its OpenAPI entry."""


async def read_images(
    request: Request, limits: ImageLimits, take_bytes: Callable[[int], None]
) -> list[bytes]:
    """Return the encoded images of a request, in order, at least one.

    Multipart and JSON are known by the content type. Any image or octet type, and no type at all, means that
    the body is the image, whose format is known by its own bytes.

    Args:
        request: its body must not have been read.
        limits: what is allowed.
        take_bytes: called with the length of each chunk as it arrives; may raise to refuse it.

    Raises:
        PayloadTooLarge: an image or the body is over its limit (the rest is not read).
        UnsupportedMedia: the content type is of something else.
        InvalidRequest: the body is not of the documented form, or holds too many images or none.
        DeadlineExceeded: the body did not arrive in time.
    """
    collector = _collector(request.headers.get("content-type", ""), limits)
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


def _collector(content_type: str, limits: ImageLimits) -> _Collector:
    media, parameters = parse_options_header(content_type)
    kind = media.decode("latin-1")
    if kind == "multipart/form-data":
        return _MultipartCollector(parameters.get(b"boundary", b""), limits)
    if kind == "application/json":
        return _JsonCollector(limits)
    if not kind or _is_image_or_octets(kind):
        return _RawCollector(limits)
    raise UnsupportedMedia(f"the body is declared as {kind[:_LONGEST_NAME]!r}; {FORMS}")


def _is_image_or_octets(media: str) -> bool:
    return media.startswith("image/") or media in _OCTETS


class _RawCollector:
    """The body is the image."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limit = limits.max_image_bytes
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > self._limit:
            raise PayloadTooLarge("the image", self._limit)

    def images(self) -> list[bytes]:
        return [bytes(self._body)]


class _JsonCollector:
    """The body is JSON with one or several images in base64."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk

    def images(self) -> list[bytes]:
        if not _JSON_START.match(self._body):
            raise InvalidRequest(f"the body is declared as JSON and is not; {FORMS}")
        # base64 holds no quotes: more of them than strings are allowed means junk that takes long to parse
        if self._body.count(b'"') > 2 * (self._limits.max_images + _SPARE_JSON_STRINGS):
            raise InvalidRequest(
                f"the body has more strings than `image`, or `images` with at most {self._limits.max_images}"
            )
        try:
            parsed = JsonImages.model_validate_json(self._body)
        except ValidationError as err:
            faults = err.errors(include_url=False, include_input=False, include_context=False)
            raise InvalidRequest(describe(faults)) from err
        if parsed.images is None:
            return [self._decode(parsed.image or "", "image")]
        if len(parsed.images) > self._limits.max_images:
            raise InvalidRequest(f"more than {self._limits.max_images} images")
        return [self._decode(text, f"images[{number}]") for number, text in enumerate(parsed.images)]

    def _decode(self, text: str, name: str) -> bytes:
        return read_base64(text, name, max_bytes=self._limits.max_image_bytes)


class _MultipartCollector:
    """The body is a form: each part with a file name or an image type is an image, whatever its name."""

    def __init__(self, boundary: bytes, limits: ImageLimits) -> None:
        if not boundary:
            raise InvalidRequest("the multipart body names no boundary")
        self._limits = limits
        self._images: list[bytes] = []
        self._part = bytearray()
        self._parts = 0
        self._is_unfilled = False
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
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
            raise InvalidRequest(f"the form has no file; send it as `{FILE_FIELD}`")
        return self._images

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > self._limits.max_images + _SPARE_PARTS:
            raise InvalidRequest(f"more than {self._limits.max_images} images")
        self._part = bytearray()
        self._headers = {}

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _check_part(self) -> None:
        _, parameters = parse_options_header(self._headers.get(b"content-disposition"))
        media, _ = parse_options_header(self._headers.get(b"content-type"))
        name = parameters.get(b"name", b"").decode("utf-8", "replace")
        file_name = parameters.get(b"filename")
        if file_name is None and name != FILE_FIELD and not media.startswith(b"image/"):
            raise InvalidRequest(
                f"the form's field {name[:_LONGEST_NAME]!r} is not a file: it has neither a file name nor an "
                "image type; options go into the query, as in /predict?max_faces=1"
            )
        self._is_unfilled = file_name == b""  # a browser sends such a part for a field that was left empty
        if len(self._images) == self._limits.max_images and not self._is_unfilled:
            raise InvalidRequest(f"more than {self._limits.max_images} images")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._part += data[start:end]
        if len(self._part) > self._limits.max_image_bytes:
            raise PayloadTooLarge("the image", self._limits.max_image_bytes)

    def _end_part(self) -> None:
        if self._part or not self._is_unfilled:
            self._images.append(bytes(self._part))

    def _finish(self) -> None:
        self._is_finished = True

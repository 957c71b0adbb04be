"""Two hundred bad bodies, each with the statuses that may answer it."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from tests.support.images import encoded

JPEG = {"content-type": "image/jpeg"}
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class BadInput:
    """A request that must be refused with one of `codes`."""

    name: str
    content: bytes
    codes: frozenset[str]
    headers: dict[str, str] = field(default_factory=lambda: dict(JPEG))
    query: str = ""


def png_claiming(width: int, height: int) -> bytes:
    """A small PNG whose header claims another size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def multipart(parts: list[tuple[str, bytes]], boundary: str = "b0undary") -> bytes:
    """A form with files."""
    body = b""
    for name, content in parts:
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode()
        )
        body += content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def bad_inputs() -> Iterator[BadInput]:
    """Make them all."""
    noise = Image.effect_noise((96, 96), 80).convert("RGB")
    good = {kind: encoded(noise, kind) for kind in ("JPEG", "PNG", "WEBP")}
    form = {"content-type": "multipart/form-data; boundary=b0undary"}
    unreadable = frozenset({"invalid_image", "unsupported_media"})
    for kind, data in good.items():
        for n in range(1, 41):
            yield BadInput(f"{kind} cut to {n}/41", data[: len(data) * n // 41], unreadable)
    media = frozenset({"unsupported_media"})
    texts = {
        "text": b"hello, world",
        "svg": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
        "html": b"<!doctype html><p>no",
        "gif": encoded(noise, "GIF"),
        "bmp": encoded(noise, "BMP"),
        "tiff": encoded(noise, "TIFF"),
        "ico": encoded(noise, "ICO"),
        "pdf": b"%PDF-1.7\n",
        "zip": b"PK\x03\x04" + bytes(40),
        "zeros": bytes(1000),
        "elf": b"\x7fELF" + bytes(100),
        "riff but no webp": b"RIFF\x10\0\0\0WAVEfmt " + bytes(20),
    }
    for name, data in texts.items():
        yield BadInput(name, data, media)
        yield BadInput(f"{name} in a form", multipart([("file", data)]), media, form)
        body = json.dumps({"image": base64.b64encode(data).decode()}).encode()
        yield BadInput(f"{name} in JSON", body, media, JSON)
    invalid = frozenset({"invalid_image"})
    yield BadInput("empty", b"", invalid)
    yield BadInput("empty in a form", multipart([("file", b"")]), invalid, form)
    yield BadInput("empty in JSON", b'{"image": ""}', invalid, JSON)
    yield BadInput("bomb", png_claiming(30_000, 30_000), invalid)
    yield BadInput("bigger bomb", png_claiming(2**31 - 1, 2**31 - 1), invalid)
    yield BadInput("no width", png_claiming(0, 10), invalid)
    yield BadInput("too little data", png_claiming(4000, 4000), invalid)
    flood = b"\xff\xe0\0\2" * 1_000_000
    yield BadInput("jpeg of a million segments", b"\xff\xd8" + flood + b"\xff\xd9", invalid)
    yield BadInput("jpeg of fill bytes", b"\xff\xd8" + b"\xff" * 5_000_000 + b"\xd9", invalid)
    yield BadInput(
        "png of a million chunks", png_claiming(9, 9)[:-12] + b"\0\0\0\0aaaa\0\0\0\0" * 700_000, invalid
    )
    yield BadInput("jpeg of nothing", b"\xff\xd8\xff\xd9", unreadable)
    yield BadInput("jpeg header then junk", good["JPEG"][:200] + bytes(500) + b"\xff\xd9", unreadable)
    request = frozenset({"invalid_request"})
    bodies = {
        "no JSON": b"{",
        "empty JSON": b"",
        "JSON list": b"[]",
        "JSON null": b"null",
        "JSON number": b"7",
        "no image": b"{}",
        "image is a number": b'{"image": 7}',
        "image is a list": b'{"image": []}',
        "images is a string": b'{"images": "x"}',
        "images is empty": b'{"images": []}',
        "both": b'{"image": "", "images": [""]}',
        "unknown field": b'{"image": "", "colour": 1}',
        "not base64": b'{"image": "!!!!"}',
        "odd base64": b'{"image": "abcde"}',
        "base64 with padding in it": b'{"image": "QQ==QQ=="}',
        "base64 with a hole": b'{"image": "QUJD*UJD"}',
        "odd data URL": b'{"image": "data:image/png,abc"}',
        "deep": b'{"image": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        "wide": b'{"image": {' + b",".join(b'"%d":0' % n for n in range(5000)) + b"}}",
        "too many": json.dumps({"images": ["AAAA"] * 17}).encode(),
        "a long list of numbers": b'{"images": [' + b"0," * 1_000_000 + b"0]}",
        "a long list of nothing": b'{"images": [' + b'"",' * 1_000_000 + b'""]}',
        "many unknown keys": b"{" + b",".join(b'"k%d":0' % n for n in range(200_000)) + b"}",
        "a long unknown key": b'{"' + b"k" * 1_000_000 + b'": 0}',
        "bytes that are no UTF-8": b'{"image": "\xff\xfe"}',
    }
    for name, body in bodies.items():
        yield BadInput(name, body, request, JSON)
    field = b'--b0undary\r\nContent-Disposition: form-data; name="max_faces"\r\n\r\n3\r\n'
    yield BadInput("form with a field", field + multipart([("file", good["PNG"])]), request, form)
    yield BadInput("form of fields", field + b"--b0undary--\r\n", request, form)
    unfilled = b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n'
    yield BadInput("form that nobody filled", unfilled + b"--b0undary--\r\n", request, form)
    yield BadInput("form of many unfilled fields", unfilled * 50_000, request, form)
    yield BadInput("form without end", multipart([("file", good["PNG"])])[:-20], request, form)
    yield BadInput("form without parts", b"--b0undary--\r\n", request, form)
    yield BadInput("form of junk", b"junk" * 100, request, form)
    no_boundary = {"content-type": "multipart/form-data"}
    yield BadInput("form without boundary", good["PNG"], request, no_boundary)
    yield BadInput("form of 17 files", multipart([("file", b"x")] * 17), request, form)
    yield BadInput("JPEG sent as JSON", good["JPEG"], request, JSON)
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "multipart/mixed",
        "video/mp4",
        "nonsense",
    ):
        yield BadInput(f"sent as {content_type!r}", good["JPEG"], media, {"content-type": content_type})
    for query in (
        "max_faces=0",
        "max_faces=257",
        "max_faces=many",
        "min_score=2",
        "min_score=-1",
        "min_score=nan",
        "min_face_px=0",
        "min_face_px=1e9",
        "model=../../etc/passwd",
        "model=",
        "detector=a%20b",
        "colour=red",
        "max_faces=1&max_faces=2",
    ):
        yield BadInput(f"query {query}", good["JPEG"], request, query=query)
    yield BadInput("unknown model", good["JPEG"], frozenset({"unknown_model"}), query="model=nobody")
    yield BadInput("unknown detector", good["JPEG"], frozenset({"unknown_detector"}), query="detector=nobody")
    large = frozenset({"payload_too_large"})
    yield BadInput("large", bytes(10_000_001), large)
    yield BadInput("large in a form", multipart([("file", bytes(10_000_001))]), large, form)
    yield BadInput("huge base64", b'{"image": "' + b"A" * 13_400_000 + b'"}', large, JSON)
    yield BadInput("huge JSON", b'{"image": "' + b"A" * 64_000_000 + b'"}', large, JSON)

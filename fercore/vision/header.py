"""Read what an image says of itself before anything decodes it: pure Python, no numpy, no OpenCV.

The gateway refuses here what must never reach a decoder: other formats, bombs, truncated files.
Sources: ITU-T T.81 (JPEG), the PNG specification (third edition), RFC 9649 (WebP), TIFF 6.0 (orientation).
"""

from dataclasses import dataclass
from typing import Literal

from fercore.contracts.errors import InvalidImage, PayloadTooLarge, UnsupportedMedia
from fercore.vision.fields import read_int
from fercore.vision.jpeg import read_jpeg

ImageFormat = Literal["jpeg", "png", "webp"]

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_TYPES_WITH_ALPHA = (4, 6)
_TIFF_ORIENTATION_TAG = 0x0112

# A file of nothing but tiny chunks would hold up the gateway; large PNGs need some thousand.
_MAX_CHUNKS = 10_000
_MAX_TIFF_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image says of itself.

    Attributes:
        format: by its first bytes.
        width: as stored, not yet upright, in pixels.
        height: as stored, not yet upright, in pixels.
        has_alpha: it may be transparent.
        orientation: 1 to 8, of its EXIF block (TIFF 6.0, tag 274).
        is_grey: a JPEG with one component.
        has_end: False for a JPEG without end marker, which may be whole: only decoding tells.
    """

    format: ImageFormat
    width: int
    height: int
    has_alpha: bool = False
    orientation: int = 1
    is_grey: bool = False
    has_end: bool = True


def check_image(data: bytes, *, max_image_bytes: int, max_pixels: int) -> ImageHeader:
    """Refuse what must not be decoded.

    Raises:
        PayloadTooLarge: more than `max_image_bytes`.
        UnsupportedMedia: not JPEG, PNG or WebP by its first bytes.
        InvalidImage: truncated, without a size, or more than `max_pixels` by its header.
    """
    if len(data) > max_image_bytes:
        raise PayloadTooLarge("the image", max_image_bytes)
    header = read_header(data)
    pixels = header.width * header.height
    if pixels == 0:
        raise InvalidImage("the image has no pixels")
    if pixels > max_pixels:
        raise InvalidImage(f"the image is {header.width} x {header.height}: more than {max_pixels} pixels")
    return header


def read_header(data: bytes) -> ImageHeader:
    """Read format, size, alpha and orientation. Line breaks before the image are passed over.

    Raises:
        UnsupportedMedia: not JPEG, PNG or WebP by its first bytes.
        InvalidImage: no bytes, a damaged header, or a file that is cut short.
    """
    data = without_line_breaks(data)
    if not data:
        raise InvalidImage("the image is empty")
    try:
        if data[:3] == b"\xff\xd8\xff":
            return _read_jpeg(data)
        if data[:8] == _PNG_MAGIC:
            return _read_png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _read_webp(data)
    except IndexError as err:
        raise InvalidImage("the image is truncated") from err
    raise UnsupportedMedia("the image is not JPEG, PNG or WebP")


def without_line_breaks(data: bytes) -> bytes:
    """Return an image without the line breaks before it, which a part of an MJPEG stream may have."""
    return data.lstrip(b"\r\n")


def _read_jpeg(data: bytes) -> ImageHeader:
    read = read_jpeg(data)
    return ImageHeader(
        "jpeg",
        read.width,
        read.height,
        orientation=_orientation(read.exif),
        is_grey=read.is_grey,
        has_end=read.has_end,
    )


def _read_png(data: bytes) -> ImageHeader:
    if data[12:16] != b"IHDR":
        raise InvalidImage("the PNG header is damaged")
    width, height, colour_type = read_int(data, 16, 4), read_int(data, 20, 4), data[25]
    has_alpha, position = colour_type in _PNG_COLOUR_TYPES_WITH_ALPHA, 8
    orientation: int | None = None
    for _ in range(_MAX_CHUNKS):
        kind = data[position + 4 : position + 8]
        if kind == b"IEND":
            return ImageHeader("png", width, height, has_alpha, orientation or 1)
        length = read_int(data, position, 4)
        if kind == b"tRNS":
            has_alpha = True
        elif kind == b"eXIf" and orientation is None:
            orientation = _orientation(data[position + 8 : position + 8 + length])
        position += 12 + length
        if position + 8 > len(data):
            raise InvalidImage("the image is truncated")
    raise InvalidImage("the PNG has too many chunks")


def _read_webp(data: bytes) -> ImageHeader:
    if read_int(data, 4, 4, "little") + 8 > len(data):
        raise InvalidImage("the image is truncated")
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise InvalidImage("the WebP header is damaged")
        return ImageHeader(
            "webp", read_int(data, 26, 2, "little") & 0x3FFF, read_int(data, 28, 2, "little") & 0x3FFF
        )
    if kind == b"VP8L":
        bits = read_int(data, 21, 4, "little")
        return ImageHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1))
    if kind == b"VP8X":
        size = read_int(data, 24, 3, "little") + 1, read_int(data, 27, 3, "little") + 1
        return ImageHeader("webp", *size, bool(data[20] & 0x10), _webp_orientation(data))
    raise InvalidImage("the WebP header is damaged")


def _webp_orientation(data: bytes) -> int:
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            break
        length = read_int(data, position + 4, 4, "little")
        if data[position : position + 4] == b"EXIF":
            return _orientation(data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0"))
        position += 8 + length + length % 2
    return 1


def _orientation(tiff: bytes) -> int:
    """Find the orientation in a TIFF block; 1 (upright) where there is none."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    directory = int.from_bytes(tiff[4:8], order)
    count = min(_MAX_TIFF_ENTRIES, int.from_bytes(tiff[directory : directory + 2], order))
    for entry in range(directory + 2, min(directory + 2 + 12 * count, len(tiff) - 11), 12):
        if int.from_bytes(tiff[entry : entry + 2], order) == _TIFF_ORIENTATION_TAG:
            value = int.from_bytes(tiff[entry + 8 : entry + 10], order)
            return value if 1 <= value <= 8 else 1
    return 1

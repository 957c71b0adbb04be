"""Decode an image to upright RGB, whatever its colour type. The one place that decodes.

It checks no limits: call `header.check_image` before.
"""

import hashlib
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.errors import InvalidImage
from fercore.vision.crop import RgbImage
from fercore.vision.header import ImageHeader, read_header, without_line_breaks
from fercore.vision.image import DecodedImage
from fercore.vision.jpeg import PROBE

_ROWS_AT_ONCE = 64
"""A whole image of 50 megapixels in wide integers would take gigabytes."""

# the scale's bit alone: what is read is colour, by the other flag
_REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}

# How a stored image becomes upright, by EXIF orientation (TIFF 6.0, tag 274): its axes are swapped, then its
# columns and its rows are reversed.
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}

_JPEG_END = b"\xff\xd9"


def _ending(number: int) -> bytes:
    junk = hashlib.sha512(bytes([number])).digest().replace(b"\xff", b"")
    restarts = (0xD0 + (3 * number + place) % 8 for place in range(16))
    return junk + PROBE + b"".join(bytes([0xFF, restart]) + junk for restart in restarts) + _JPEG_END


_ENDINGS = tuple(map(_ending, range(3)))
"""What is put behind a JPEG without end marker, in the place of what may lack: bytes that mean nothing, once
more behind each restart marker. The first marker differs: a decoder may pass over one that comes too soon."""


def decode(data: bytes) -> RgbImage:
    """Decode JPEG, PNG or WebP.

    Grey, palette, 16-bit and CMYK images become 8-bit RGB; alpha is composited on white; EXIF
    orientation is applied.

    Returns:
        uint8 [height, width, 3], RGB, upright.

    Raises:
        UnsupportedMedia: another format.
        InvalidImage: the bytes do not decode, or are cut short.
    """
    return _decode(*_open(data))


def _decode(data: bytes, header: ImageHeader) -> RgbImage:
    if not header.has_alpha:
        return _upright(_in_colour(data, header), header)
    # OpenCV drops alpha when it converts
    stored = _imdecode(data, cv2.IMREAD_UNCHANGED)
    if stored.ndim == 3 and stored.shape[2] == 4:
        return _upright(_on_white(stored), header)
    return _upright(_in_colour(data, header), header)


def decode_reduced(data: bytes, *, longer_side_px: int) -> DecodedImage:
    """Decode a JPEG at the smallest of its scales 1/8, 1/4, 1/2 and 1 that leaves `longer_side_px`.

    Reduced sides are rounded up. PNG, WebP and lossless JPEG have no scales: they are decoded in full.

    Raises:
        UnsupportedMedia: another format.
        InvalidImage: the bytes do not decode, or are cut short.
    """
    data, header = _open(data)
    stored = header.width, header.height
    divisor = next((n for n in _REDUCED if max(stored) >= n * longer_side_px), 1)
    if header.format != "jpeg" or divisor == 1:
        return DecodedImage.in_full(_decode(data, header))
    pixels = _in_colour(data, header, _REDUCED[divisor])
    decoded = pixels.shape[1], pixels.shape[0]
    if decoded == stored:  # OpenCV passes over the scale of a lossless JPEG
        return DecodedImage.in_full(_upright(pixels, header))
    # the last pixel of a row or a column may reach over the image's edge
    beyond = [divisor * reduced - side for reduced, side in zip(decoded, stored, strict=True)]
    if not all(0 <= excess < divisor for excess in beyond):
        raise InvalidImage("the image decodes to another size than its header states")
    is_swapped, is_mirrored, is_upside_down = _TURNS[header.orientation]
    width, height = stored[::-1] if is_swapped else stored
    right, bottom = beyond[::-1] if is_swapped else beyond
    return DecodedImage(
        _upright(pixels, header),
        width,
        height,
        scale=divisor,
        left=-right if is_mirrored else 0,
        top=-bottom if is_upside_down else 0,
    )


def mend(data: bytes) -> bytes:
    """Return an image as OpenCV reads it: without line breaks before it, a JPEG with its end marker.

    A JPEG that lacks its end marker is whole if what stands behind its data makes no difference: it is
    decoded with several endings. A whole image costs nothing here.

    Raises:
        UnsupportedMedia: not JPEG, PNG or WebP by its first bytes.
        InvalidImage: a damaged header, or a file that is cut short.
    """
    return _open(data)[0]


def _open(data: bytes) -> tuple[bytes, ImageHeader]:
    data = without_line_breaks(data)
    header = read_header(data)
    if header.has_end:
        return data, header
    if data.endswith(b"\xff"):  # half of the end marker, or of a byte 0xFF in the data
        data += b"\0"
    first, *others = _ENDINGS
    digest = _digest(data + first, header)
    if any(_digest(data + ending, header) != digest for ending in others):  # the first that differs is enough
        raise InvalidImage("the image is truncated")
    return data + _JPEG_END, header


def _digest(data: bytes, header: ImageHeader) -> bytes:
    return hashlib.sha256(_in_colour(data, header).data).digest()


def _upright(stored: RgbImage, header: ImageHeader) -> RgbImage:
    is_swapped, is_mirrored, is_upside_down = _TURNS[header.orientation]
    image = stored.swapaxes(0, 1) if is_swapped else stored
    return np.ascontiguousarray(image[:: -1 if is_upside_down else 1, :: -1 if is_mirrored else 1])


def _in_colour(data: bytes, header: ImageHeader, scale: int = 0) -> RgbImage:
    """Decode to RGB, as stored, at one of the scales of `_REDUCED` or in full."""
    if not header.is_grey:
        return _imdecode(data, cv2.IMREAD_COLOR_RGB | scale)
    # a grey lossless JPEG is None in colour
    grey = _imdecode(data, cv2.IMREAD_GRAYSCALE | scale)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def _imdecode(data: bytes, flags: int) -> npt.NDArray[np.uint8]:
    """Decode as stored: orientation is ours to apply, for OpenCV applies it to some images only."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as err:
        raise InvalidImage("the image does not decode") from err
    if image is None or image.size == 0:
        raise InvalidImage("the image does not decode")
    return cast("npt.NDArray[np.uint8]", image)  # uint16 where it is unchanged and has 16 bits


def _on_white(bgra: npt.NDArray[np.uint8]) -> RgbImage:
    """Composite B G R A of 8 or 16 bits on white, some rows at a time; gives uint8 RGB."""
    rgb = np.empty((*bgra.shape[:2], 3), np.uint8)
    full = int(np.iinfo(bgra.dtype).max)
    for start in range(0, len(bgra), _ROWS_AT_ONCE):
        rows = bgra[start : start + _ROWS_AT_ONCE].astype(np.uint64)
        colour, alpha = rows[..., 2::-1], rows[..., 3:]
        composited = colour * alpha + full * (full - alpha)  # of full * full
        rgb[start : start + _ROWS_AT_ONCE] = (composited * 255 + full * full // 2) // (full * full)
    return rgb

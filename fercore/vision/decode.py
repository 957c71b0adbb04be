"""Decode a picture to upright RGB, whatever its colour type. The one place that decodes.

Knows no limits: `header.check_image` is called before.
"""

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.errors import InvalidImage
from fercore.vision.crop import RgbImage
from fercore.vision.header import read_header
from fercore.vision.picture import Picture

_ROWS_AT_ONCE = 64
"""A whole picture of 50 megapixels in wide integers would take gigabytes."""

# the scale's bit alone: what is read is colour, by the other flag
_REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}

# numpy views that turn a stored picture upright, by EXIF orientation (TIFF 6.0, tag 274)
_UPRIGHT = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image.swapaxes(0, 1)[::-1, ::-1],
    8: lambda image: image.swapaxes(0, 1)[::-1],
}


def decode(data: bytes) -> RgbImage:
    """Decode JPEG, PNG or WebP.

    Grey, palette, 16-bit and CMYK pictures become 8-bit RGB; alpha is composited on white; EXIF
    orientation is applied.

    Returns:
        uint8 [height, width, 3], RGB, upright.

    Raises:
        UnsupportedMedia: another format.
        InvalidImage: the bytes do not decode.
    """
    header = read_header(data)
    if not header.has_alpha:
        return _imdecode(data, cv2.IMREAD_COLOR_RGB)
    # OpenCV drops alpha when it converts, and leaves orientation alone when it does not
    stored = _imdecode(data, cv2.IMREAD_UNCHANGED)
    if stored.ndim == 3 and stored.shape[2] == 4:
        image = _on_white(stored)
    else:
        image = _imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(_UPRIGHT[header.orientation](image))


def decode_reduced(data: bytes, *, longer_side_px: int) -> Picture:
    """Decode a JPEG at the smallest of its scales 1/8, 1/4, 1/2 and 1 that leaves `longer_side_px`.

    Reduced sides are rounded up. PNG and WebP would gain nothing: they are decoded in full.

    Raises:
        UnsupportedMedia: another format.
        InvalidImage: the bytes do not decode.
    """
    header = read_header(data)
    stored = header.width, header.height
    divisor = next((n for n in _REDUCED if max(stored) >= n * longer_side_px), 1)
    reduced = tuple(-(-side // divisor) for side in stored)
    if header.format != "jpeg" or divisor == 1 or (reduced[0] == reduced[1] and stored[0] != stored[1]):
        return Picture.in_full(decode(data))
    pixels = _imdecode(data, cv2.IMREAD_COLOR_RGB | _REDUCED[divisor])
    # OpenCV turned it as EXIF says; its sides, which are not alike, show whether width is height now
    width, height = stored if pixels.shape[1::-1] == reduced else stored[::-1]
    return Picture(pixels, width, height)


def _imdecode(data: bytes, flags: int) -> npt.NDArray[np.uint8]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
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

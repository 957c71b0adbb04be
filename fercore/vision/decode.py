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

_ROWS_AT_ONCE = 64
"""A whole picture of 50 megapixels in wide integers would take gigabytes."""

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

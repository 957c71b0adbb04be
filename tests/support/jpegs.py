"""JPEGs of every kind that cameras, phones and other programs write, made of an upright image.

Sources: ITU-T T.81 (annex H: lossless), Adobe Technical Note 5116 (YCCK), TIFF 6.0 (orientation).
"""

import io
import subprocess
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageChops

from tests.support.images import STORED_AS, encoded
from tests.support.requires import program

END = b"\xff\xd9"


def _by_opencv(*options: int) -> Callable[[Image.Image], bytes]:
    def encode(image: Image.Image) -> bytes:
        bgr = np.asarray(image.convert("RGB"))[..., ::-1]
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92, *options])[1].tobytes()

    return encode


def lossless(image: Image.Image) -> bytes:
    """SOF3 with predictor 1, grey or RGB: one Huffman table of nine codes of four bits."""
    samples = np.atleast_3d(np.asarray(image)).astype(np.int32)
    predicted = np.empty_like(samples)
    predicted[:, 1:] = samples[:, :-1]
    predicted[1:, 0] = samples[:-1, 0]
    predicted[0, 0] = 128
    difference = (samples - predicted).ravel()
    category = np.ceil(np.log2(np.abs(difference) + 1)).astype(np.int32)
    value = (category << category) | np.where(difference < 0, difference + (1 << category) - 1, difference)
    places = np.arange(12)
    length = category[:, None] + 4
    bits = (value[:, None] >> (length - 1 - places).clip(0)) & 1
    scan = np.packbits(np.append(bits[places < length], np.ones(-int(length.sum()) % 8, np.int32))).tobytes()
    size = image.height.to_bytes(2, "big") + image.width.to_bytes(2, "big")
    components = b"RGB"[: samples.shape[2]]
    count = len(components)
    frame = bytes([0xFF, 0xC3, 0, 8 + 3 * count, 8]) + size + bytes([count])
    frame += b"".join(bytes([component, 0x11, 0]) for component in components)
    table = b"\xff\xc4\0\x1c\0" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9))
    start = bytes([0xFF, 0xDA, 0, 6 + 2 * count, count])
    start += b"".join(bytes([component, 0]) for component in components) + b"\x01\0\0"
    return b"\xff\xd8" + frame + table + start + scan.replace(b"\xff", b"\xff\0") + END


def ycck(image: Image.Image) -> bytes:
    """CMYK whose first three channels are Y, Cb and Cr, inverted, as Adobe's programs write it."""
    cyan, magenta, yellow, black = image.convert("CMYK").split()
    y, cb, cr = Image.merge("RGB", [cyan, magenta, yellow]).convert("YCbCr").split()
    # Pillow inverts all four as it writes
    data = encoded(
        Image.merge("CMYK", [*(ImageChops.invert(band) for band in (y, cb, cr)), black]), quality=92
    )
    flags = data.index(b"Adobe") + 11  # version, two flags, then the transform: 2 is YCCK
    return data[:flags] + b"\x02" + data[flags + 1 :]


def arithmetic(image: Image.Image) -> bytes:
    """SOF9, by the `jpegtran` of libjpeg-turbo."""
    command = [program("jpegtran", package="libjpeg-turbo-progs"), "-arithmetic"]
    return subprocess.run(command, input=encoded(image, quality=92), capture_output=True, check=True).stdout


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "baseline": _by_opencv(),
    "progressive": _by_opencv(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restart markers": _by_opencv(cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    **{
        f"4:{name[0]}:{name[1]}": _by_opencv(
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_4{name}")
        )
        for name in ("44", "40", "22", "20", "11")
    },
    "grey": lambda image: encoded(image.convert("L"), quality=92),
    "CMYK": lambda image: encoded(image.convert("CMYK"), quality=92),
    "YCCK": ycck,
    "lossless": lossless,
    "grey lossless": lambda image: lossless(image.convert("L")),
}


def turned(make: Callable[[Image.Image], bytes], upright: Image.Image, orientation: int) -> bytes:
    """A JPEG that is stored turned, with the EXIF orientation that makes it upright again."""
    how = STORED_AS[orientation]
    data = make(upright if how is None else upright.transpose(how))
    tags = Image.Exif()
    tags[0x0112] = orientation
    segment = tags.tobytes()
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


def without_end(data: bytes) -> bytes:
    """A JPEG without its end marker."""
    assert data.endswith(END)
    return data[: -len(END)]


def without_huffman_tables(data: bytes) -> bytes:
    """A baseline JPEG whose standard tables are left out, as frames of MJPEG have it."""
    image = Image.open(io.BytesIO(data))
    assert image.mode == "RGB"
    out, position = data[:2], 2
    while data[position + 1] != 0xDA:
        length = 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] != 0xC4:
            out += data[position : position + length]
        position += length
    return out + data[position:]

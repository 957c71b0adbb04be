"""Read the structure of a JPEG without decoding it: its size, its EXIF block, whether all scans are there.

Pure Python, no numpy, no OpenCV. Source: ITU-T T.81, annexes B (syntax) and G (progressive mode).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fercore.contracts.errors import InvalidImage
from fercore.vision.fields import read_int

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC = frozenset(range(0xC9, 0xD0))
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD8)) | {0x01}
_START_OF_SCAN, _APP1, _END = 0xDA, 0xE1, b"\xff\xd9"
_EXIF = b"Exif\0\0"
_MARKER = re.compile(rb"\xff+[^\xff]", re.DOTALL)
_MARKER_BEHIND_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_ALL_COEFFICIENTS = (1 << 64) - 1

PROBE = b"\xff\x01"
"""A marker that no encoder writes; `decode` puts meaningless bytes before it, to see whether they matter."""

PROBE_WARNING = "extraneous bytes before marker 0x01"
"""What libjpeg prints of them where they do not."""

# A file of nothing but tiny segments would hold up the gateway; ICC profiles and text need tens.
_MAX_SEGMENTS = 1000


@dataclass(frozen=True, slots=True)
class JpegStructure:
    """What a JPEG says of itself.

    Attributes:
        width: stored, in pixels.
        height: stored, in pixels.
        is_grey: it has one component.
        exif: the TIFF block of its EXIF segment; empty where there is none.
        has_end: its end marker is there. Where it is not, all scans have begun, and only decoding tells
            whether the last one is whole.
    """

    width: int
    height: int
    is_grey: bool
    exif: bytes
    has_end: bool


def read_jpeg(data: bytes) -> JpegStructure:
    """Read a JPEG that begins with its start marker.

    Raises:
        InvalidImage: a damaged header, or a file that is cut short.
    """
    frame, exif, scan = -1, b"", -1
    for marker, position in _segments(data):
        if marker == _START_OF_SCAN:
            scan = position
            break
        if marker in _START_OF_FRAME:
            frame = position
        elif marker == _APP1 and not exif and data.startswith(_EXIF, position + 4):
            exif = data[position + 4 + len(_EXIF) : position + 2 + read_int(data, position + 2, 2)]
    if frame < 0:
        raise InvalidImage("the JPEG header has no size")
    has_end = data.rfind(_END) > scan
    if not has_end and not _has_all_scans(data, frame, scan):
        raise InvalidImage("the image is truncated")
    width, height = read_int(data, frame + 7, 2), read_int(data, frame + 5, 2)
    return JpegStructure(width, height, data[frame + 9] == 1, exif, has_end)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker and the position of each segment up to the first scan, that one included."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.match(data, position)
        if found is None:
            raise InvalidImage("the JPEG header is damaged or cut short")
        position = found.end() - 2  # fill bytes are behind it
        marker = data[position + 1]
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        yield marker, position
        position += 2 + max(2, read_int(data, position + 2, 2))
    raise InvalidImage("the JPEG header has too many segments")


def _has_all_scans(data: bytes, frame: int, scan: int) -> bool:
    """Return whether a JPEG without end marker holds the beginning of every scan that its frame needs.

    A progressive image is complete when the last bit of each coefficient of each component was sent, any
    other when each component was. Arithmetic coding may leave out the zeros at its end: nothing shows that
    such a scan is whole.
    """
    kind = data[frame + 1]
    if kind in _ARITHMETIC:
        return False
    sent = {data[frame + 10 + 3 * number]: 0 for number in range(data[frame + 9])}
    for _ in range(_MAX_SEGMENTS):
        if data[scan + 1] == _START_OF_SCAN:
            count = data[scan + 4]
            band = _ALL_COEFFICIENTS
            if kind in _PROGRESSIVE:
                first, last, bits = (data[scan + 5 + 2 * count + place] for place in range(3))
                band = ((1 << (last + 1)) - 1) >> first << first if bits & 0x0F == 0 else 0
            for component in data[scan + 5 : scan + 5 + 2 * count : 2]:
                sent[component] = sent.get(component, 0) | band
        found = _MARKER_BEHIND_SCAN.search(data, scan + 2 + read_int(data, scan + 2, 2))
        if found is None:
            break
        scan = found.start()
    return all(band == _ALL_COEFFICIENTS for band in sent.values())

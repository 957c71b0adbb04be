"""Read numbers out of an encoded image; an image that ends too early is refused.

Pure Python, no numpy.
"""

from fercore.contracts.errors import InvalidImage


def big(data: bytes, offset: int, length: int) -> int:
    """Return `length` bytes at `offset` as an unsigned big-endian number.

    Raises:
        InvalidImage: the data ends before.
    """
    return int.from_bytes(_exactly(data, offset, length), "big")


def little(data: bytes, offset: int, length: int) -> int:
    """Return `length` bytes at `offset` as an unsigned little-endian number.

    Raises:
        InvalidImage: the data ends before.
    """
    return int.from_bytes(_exactly(data, offset, length), "little")


def _exactly(data: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(data):
        raise InvalidImage("the image is truncated")
    return data[offset : offset + length]

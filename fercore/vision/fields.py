"""Read numbers out of an encoded image; an image that ends too early is refused. Pure Python, no numpy."""

from typing import Literal

from fercore.contracts.errors import InvalidImage


def read_int(data: bytes, offset: int, length: int, order: Literal["big", "little"] = "big") -> int:
    """Return `length` bytes at `offset` as an unsigned number.

    Raises:
        InvalidImage: the data ends before.
    """
    if offset + length > len(data):
        raise InvalidImage("the image is truncated")
    return int.from_bytes(data[offset : offset + length], order)

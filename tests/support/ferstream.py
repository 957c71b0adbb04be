"""Frames for the SDK's streams, and the events that come of them."""

from collections.abc import Iterator
from typing import Any

from ferclient import AsyncClient


def numbered(count: int) -> Iterator[tuple[str, bytes]]:
    """Frames by names of the caller's own."""
    return ((f"frame-{n}", b"%d" % n) for n in range(count))


def names(events, kind) -> list[Any]:
    return [event.frame for event in events if isinstance(event, kind)]


async def events_of(url: str, source, *, is_lossless=True, options=None, patience_s=5.0) -> list:
    async with (
        AsyncClient(url, patience_s=patience_s) as client,
        client.stream(options) as stream,
    ):
        return [event async for event in stream.frames(source, is_lossless=is_lossless)]

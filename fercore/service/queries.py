"""Refuse query parameters that contradict themselves, before any of their values is taken."""

from collections import Counter

from fastapi import Depends, Request

from fercore.contracts.errors import InvalidRequest


async def _refuse_repeated(request: Request) -> None:
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise InvalidRequest(f"{repeated[0][:60]}: given {counts[repeated[0]]} times, may be given once")


ONCE_EACH = Depends(_refuse_repeated)
"""A dependency of routers: `?max_faces=1&max_faces=2` is an `InvalidRequest`, not the last of the two."""

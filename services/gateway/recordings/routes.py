"""`GET /sessions/{id}/trend` and `DELETE /sessions/{id}`, from whichever gateway is asked.

Knows HTTP and the store; the session id is the only handle, and gives the right to read and delete.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response

from fercore.contracts.errors import InvalidRequest, Overloaded, UnknownSession
from fercore.contracts.live import Trend
from fercore.service.errors import PROBLEMS
from fercore.service.queries import ONCE_EACH
from fercore.state.store import StateStore, StoredRecord
from services.gateway.recordings import stored
from services.gateway.recordings.trend import as_csv, build_trend

_SESSION_ID = re.compile(r"[0-9a-f]{32}")
_BUCKET = re.compile(r"([1-9][0-9]{0,3})([smh])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}
_LONGEST_BUCKET_S = 3600

CSV = "text/csv"
AT_ONCE = 4
"""Trends that are made at a time: a long session takes tens of megabytes and much of a second."""

TURN_WAIT_S = 5.0
_PRIVATE = {"Cache-Control": "no-store"}


def session_routes(store: StateStore, *, lifetime_s: float) -> APIRouter:
    """Build the routes."""
    router = APIRouter(tags=["sessions"], dependencies=[ONCE_EACH])
    turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(TURN_WAIT_S):
                await turns.acquire()
        except TimeoutError as err:
            raise Overloaded("too many trends are being read; try again") from err
        try:
            yield
        finally:
            turns.release()

    async def read_trend(
        session_id: str,
        bucket: Annotated[str, Query(description="1s to 1h, such as 10s, 5m or 1h")] = "10s",
        format: Annotated[  # noqa: A002  # the name of the query parameter
            Literal["json", "csv"] | None, Query(description="Or by `Accept: text/csv`")
        ] = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Response:
        """Return the trend of a recording: by bucket of time and face, and in total."""
        bucket_s = parse_bucket(bucket)
        is_csv = format == "csv" or (format is None and CSV in accept)
        async with turn():
            record = await store.get(check_session_id(session_id))
            if record is None:
                raise UnknownSession
            # a day of seconds takes long enough to hold up others
            content = await asyncio.to_thread(_render, record, session_id, bucket_s, is_csv=is_csv)
        if not is_csv:
            return Response(content, media_type="application/json", headers=_PRIVATE)
        # not the whole id in the name of a file: it is the key to the session
        disposition = {"Content-Disposition": f'attachment; filename="trend-{session_id[:8]}.csv"'}
        return Response(content, media_type=CSV, headers=_PRIVATE | disposition)

    async def delete_session(session_id: str) -> Response:
        """Delete a recording; a stream that still runs goes on without it."""
        if not await store.delete(check_session_id(session_id), lifetime_s=lifetime_s):
            raise UnknownSession
        return Response(status_code=204)

    router.add_api_route(
        "/sessions/{session_id}/trend",
        read_trend,
        methods=["GET"],
        response_model=Trend,
        responses=PROBLEMS | {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
    )
    router.add_api_route(
        "/sessions/{session_id}",
        delete_session,
        methods=["DELETE"],
        status_code=204,
        response_class=Response,
        responses=PROBLEMS,
    )
    return router


def _render(record: StoredRecord, session_id: str, bucket_s: int, *, is_csv: bool) -> str:
    expires_at = datetime.now(UTC) + timedelta(seconds=record.expires_in_s)
    made = build_trend(stored.read(record.fields), session_id, bucket_s=bucket_s, expires_at=expires_at)
    return as_csv(made) if is_csv else made.model_dump_json()


def check_session_id(session_id: str) -> str:
    """Return the id back if it is of the form that ids have.

    Raises:
        UnknownSession: it is not, so there is no such session.
    """
    if not _SESSION_ID.fullmatch(session_id):
        raise UnknownSession
    return session_id


def parse_bucket(bucket: str) -> int:
    """Read the length of a bucket.

    Raises:
        InvalidRequest: it is not of the documented form.
    """
    found = _BUCKET.fullmatch(bucket)
    if found is None or (bucket_s := int(found[1]) * _UNIT_S[found[2]]) > _LONGEST_BUCKET_S:
        raise InvalidRequest("bucket: must be 1s to 1h, such as 10s, 5m or 1h")
    return bucket_s

"""Liveness and readiness: the process answers, and its named dependencies do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from starlette.responses import JSONResponse

from fercore.contracts.errors import UpstreamUnavailable
from fercore.messaging.queue import Queue
from fercore.version import VERSION

Check = Callable[[], Awaitable[str | None]]
"""Gives None when all is well, otherwise the reason in one line."""

CHECK_TIMEOUT_S = 2.0


def health_routes(checks: Mapping[str, Check]) -> APIRouter:
    """Build `/livez` (process only) and `/readyz` (all checks at once, each bounded in time)."""
    router = APIRouter(tags=["health"])

    @router.get("/livez")
    async def livez() -> JSONResponse:
        """Answer as long as the process lives, and report its version."""
        return JSONResponse({"status": "alive", "version": VERSION})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        """Answer 200 when every dependency is well, otherwise 503 with the reasons."""
        reasons = await asyncio.gather(*(_run_bounded(check) for check in checks.values()))
        results = {name: reason or "ok" for name, reason in zip(checks, reasons, strict=True)}
        is_ready = all(reason is None for reason in reasons)
        body = {"status": "ready" if is_ready else "unready", "checks": results}
        return JSONResponse(body, status_code=200 if is_ready else 503)

    return router


def queue_check(queue: Queue) -> Check:
    """Build the readiness check of a queue."""

    async def check() -> str | None:
        try:
            await queue.ping()
        except UpstreamUnavailable as err:
            return err.detail
        return None

    return check


async def _run_bounded(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return f"no answer in {CHECK_TIMEOUT_S} s"

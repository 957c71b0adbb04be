"""The web page at `/`: files of `page/` as they are, plain ES modules and CSS without a build step.

Knows no pipeline; what the page shows it asks of the public interface like any client.
"""

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "page"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asked for again each time, and answered 304 while it is the same
}
"""Nothing may be loaded from, or sent to, anywhere but this gateway."""


def page_routes() -> APIRouter:
    """Build `GET /` and `GET /page/...`."""
    router = APIRouter()
    files = StaticFiles(directory=FOLDER)

    async def serve(path: str, request: Request) -> Response:
        response = await files.get_response(path, request.scope)
        response.headers.update(HEADERS)
        return response

    @router.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return await serve("index.html", request)

    @router.get("/page/{path:path}", include_in_schema=False)
    async def part_of_page(path: str, request: Request) -> Response:
        return await serve(path, request)

    return router

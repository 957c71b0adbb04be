"""Serve an application with uvicorn, one worker, until a signal ends it.

Knows no service.
"""

import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from fercore.service.settings import ServiceSettings


def serve(app: ASGIApp, settings: ServiceSettings, *, banner: str | None = None) -> None:
    """Listen and serve; prints `banner` (with `{url}` filled in) once requests are answered.

    Raises:
        SystemExit: the address cannot be bound, or the application failed.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as err:
        sys.exit(f"cannot listen on FER_HOST={settings.host} FER_PORT={settings.port}: {err.strerror}")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(settings.drain_s)),
            ws_per_message_deflate=False,
        ),
        None if banner is None else banner.format(url=f"http://{host}:{listener.getsockname()[1]}"),
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them once more when it has ended
        signal.signal(number, lambda _number, _frame: None)
    server.run(sockets=[listener])
    if not server.started or server.lifespan.should_exit:  # the application failed to start, or as it ended
        sys.exit(1)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, banner: str | None) -> None:
        super().__init__(config)
        self._banner = banner

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._banner is not None and self.started:
            print(self._banner, flush=True)  # noqa: T201  # the one line a person waits for

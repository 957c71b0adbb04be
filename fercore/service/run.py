"""Serve an application with uvicorn, one worker, until a signal ends it."""

import asyncio
import logging
import signal
import socket
import sys

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from fercore.service.process_log import log_loop_fault
from fercore.service.settings import ServiceSettings, WebSocketSettings
from fercore.service.websockets import BoundedWebSocket

logger = logging.getLogger(__name__)


def serve(
    app: ASGIApp,
    settings: ServiceSettings,
    *,
    banner: str | None = None,
    websockets: WebSocketSettings | None = None,
) -> None:
    """Listen and serve until a signal comes.

    Args:
        app: the service.
        settings: where to listen, and how long work in hand may take at the end.
        banner: printed (with `{url}` filled in) once requests are answered, where a person reads it.
        websockets: without it, no WebSocket is ever opened.

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
        server_config(app, settings, websockets=websockets),
        f"http://{host}:{listener.getsockname()[1]}",
        banner,
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them once more when it has ended
        signal.signal(number, lambda _number, _frame: None)
    server.run(sockets=[listener])
    if not server.started or server.lifespan.should_exit:  # the application failed to start, or as it ended
        sys.exit(1)


def server_config(
    app: ASGIApp, settings: ServiceSettings, *, websockets: WebSocketSettings | None
) -> uvicorn.Config:
    """Return uvicorn's configuration, the address left out."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        ws="none",
    )
    if websockets is not None:
        config.ws = BoundedWebSocket
        config.ws_max_size = websockets.max_image_bytes
        config.ws_ping_interval = websockets.live_ping_interval_s
        config.ws_ping_timeout = websockets.live_ping_timeout_s
        config.ws_per_message_deflate = False  # an image is compressed already
    return config


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, url: str, banner: str | None) -> None:
        super().__init__(config)
        self._url = url
        self._banner = banner

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(log_loop_fault)
        await super().startup(sockets)
        if self.started:
            logger.info("listening", extra={"url": self._url})
            if self._banner is not None and sys.stdout.isatty():
                print(self._banner.format(url=self._url), flush=True)  # noqa: T201

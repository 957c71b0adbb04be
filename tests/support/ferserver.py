"""What a fer-cluster answers, written out, and a stream server that does as a test tells it."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from fercore.contracts.emotions import EMOTIONS, Emotion

FACE: dict[str, Any] = {
    "box": {"x": 20, "y": 10, "width": 30, "height": 40},
    "landmarks": None,
    "detection_score": 0.9,
    "quality": {
        "size_px": 35,
        "blur": 0.1,
        "exposure": {"brightness": 0.5, "contrast": 0.2, "clipped": 0},
        "pose": None,
    },
    "emotion": "happiness",
    "score": 1,
    "uncertain": False,
    "uncertain_reasons": [],
    "probabilities": {emotion: float(emotion is Emotion.HAPPINESS) for emotion in EMOTIONS},
}
PREDICTION: dict[str, Any] = {
    "request_id": "r1",
    "model": {"name": "cnn3", "version": "1"},
    "detector": "haar",
    "image": {"width": 64, "height": 64},
    "faces": [FACE],
    "timings_ms": {"queue": 1, "decode": 1, "detect": 1, "align": 1, "infer": 1, "total": 6},
}
LIVE_FACE = FACE | {
    "face_id": 1,
    "smoothed": {name: FACE[name] for name in ("emotion", "score", "probabilities")},
}
_TREND_ROW = {
    "frames": 4,
    "emotion": "anger",
    "shares": {"anger": 0.75, "fear": 0.25},
    "probabilities": {"anger": 1},
    "valence": -1,
}
TREND: dict[str, Any] = {
    "session_id": "0" * 32,
    "label": None,
    "started_at": "2026-11-21T10:00:00Z",
    "expires_at": "2026-11-22T10:00:00Z",
    "bucket_s": 10,
    "totals": _TREND_ROW,
    "buckets": [],
    "alerts": [],
}


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    """A fault as the server answers it."""
    body = {
        "type": f"urn:fer:error:{code}",
        "title": "No",
        "status": status,
        "detail": f"it is {code}",
        "instance": "/predict",
        "code": code,
        "request_id": "r9",
    }
    return httpx.Response(status, json=body, headers=headers)


class Session:
    """The server's end of one stream; counts as the real one does."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.start: dict[str, Any] = {}
        self.counts = dict.fromkeys(("received", "results", "dropped", "errors"), 0)

    async def say(self, kind: str, **values: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **values}))

    async def begin(self, session_id: str | None = None) -> None:
        self.start = json.loads(await self.socket.recv())
        await self.say("started", session_id=session_id)

    async def frame(self) -> tuple[int, bytes] | None:
        """Wait for the next frame and its seq; None is the client's `stop`."""
        message = await self.socket.recv()
        if isinstance(message, str):
            assert json.loads(message) == {"type": "stop"}
            return None
        self.counts["received"] += 1
        return self.counts["received"] - 1, message

    async def result(self, seq: int, **changes: object) -> None:
        self.counts["results"] += 1
        await self.say("result", **PREDICTION | {"seq": seq, "faces": [LIVE_FACE]} | changes)

    async def error(self, seq: int | None, code: str) -> None:
        self.counts["errors"] += seq is not None
        await self.say("error", seq=seq, code=code, detail=f"it is {code}", request_id=f"r-{seq}")

    async def dropped(self, seq: int) -> None:
        self.counts["dropped"] += 1
        await self.say("dropped", seq=seq, reason="superseded")

    async def answer_all(self) -> None:
        """Give every frame a result, then the stats, and close."""
        while (found := await self.frame()) is not None:
            await self.result(found[0])
        await self.end()

    async def end(self) -> None:
        await self.say("stats", **self.counts)
        await self.socket.close(1000, "stopped")


Script = Callable[[Session], Awaitable[None]]
"""What becomes of one connection, from its first byte."""


async def usual(session: Session) -> None:
    """A server without any fault."""
    await session.begin()
    await session.answer_all()


@asynccontextmanager
async def stream_server(*scripts: Script, port: int = 0) -> AsyncIterator[str]:
    """Serve the n-th connection by the n-th script, the last one for ever; gives the server's URL."""
    made = 0

    async def handle(socket: ServerConnection) -> None:
        nonlocal made
        assert socket.request is not None
        assert socket.request.path == "/stream"
        script = scripts[min(made, len(scripts) - 1)]
        made += 1
        try:
            await script(Session(socket))
        except ConnectionClosed:
            return

    async with serve(handle, "127.0.0.1", port, compression=None) as server:
        bound = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{bound}"


@contextmanager
def streaming_in_thread(*scripts: Script) -> Iterator[str]:
    """Serve streams for code that does not await."""
    url: Future[str] = Future()

    async def serve_until(end: asyncio.Event) -> None:
        async with stream_server(*scripts) as address:
            url.set_result(address)
            await end.wait()

    with asyncio.Runner() as runner:
        loop, end = runner.get_loop(), asyncio.Event()
        thread = threading.Thread(target=runner.run, args=(serve_until(end),))
        thread.start()
        try:
            yield url.result(10)
        finally:
            loop.call_soon_threadsafe(end.set)
            thread.join()


@contextmanager
def answering_in_thread(answer: Callable[[httpx.Request], httpx.Response]) -> Iterator[str]:
    """Serve HTTP requests by a function."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            response = answer(httpx.Request(self.command, f"http://test{self.path}", content=body))
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = do_DELETE = do  # noqa: N815  # the base class looks for these

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

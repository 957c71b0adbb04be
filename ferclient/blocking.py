"""The same client for code that does not await: scripts, notebooks, OpenCV loops.

Every method runs that of `AsyncClient` in a thread of its own.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Self, TypeVar

import httpx

from ferclient.calls import Image
from ferclient.client import DEFAULT_URL, AsyncClient, Outcome
from ferclient.events import Event, Frame
from ferclient.stream import Stream
from fercore.contracts.api import DetectorInfo, ModelInfo, Prediction, PredictOptions
from fercore.contracts.emotions import Emotion
from fercore.contracts.live import StreamOptions, Trend

Result = TypeVar("Result")
Item = TypeVar("Item")


class Client:
    """A server, by its address; may be used from several threads.

    It takes what `AsyncClient` takes; its methods take, return and raise what those of `AsyncClient` do.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = 30.0,
        patience_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = AsyncClient(url, timeout_s=timeout_s, patience_s=patience_s, transport=transport)
        self._loop = _LoopThread()

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._client.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread."""
        self._loop.run(self._client.close)
        self._loop.stop()

    def predict(self, image: Image, options: PredictOptions | None = None) -> Prediction:
        """Find every face of an image and its emotion."""
        return self._loop.run(lambda: self._client.predict(image, options))

    def predict_many(
        self, images: Iterable[Image], options: PredictOptions | None = None, *, at_once: int = 4
    ) -> Iterator[Outcome]:
        """Do so with many images; yields one outcome for each, in order."""
        return self._loop.iterate(self._client.predict_many(images, options, at_once=at_once))

    def models(self) -> list[ModelInfo]:
        """List the emotion models."""
        return self._loop.run(self._client.models)

    def detectors(self) -> list[DetectorInfo]:
        """List the face detectors."""
        return self._loop.run(self._client.detectors)

    def emotions(self) -> list[Emotion]:
        """List the canonical emotions."""
        return self._loop.run(self._client.emotions)

    def trend(self, session_id: str, bucket_s: int = 10) -> Trend:
        """Return what a recorded session saw, in buckets of so many seconds."""
        return self._loop.run(lambda: self._client.trend(session_id, bucket_s))

    def delete_session(self, session_id: str) -> None:
        """Delete a recorded session."""
        self._loop.run(lambda: self._client.delete_session(session_id))

    def stream(self, options: StreamOptions | None = None) -> "BlockingStream":
        """Build a live stream to be entered: `with client.stream() as stream`."""
        return BlockingStream(self._client.stream(options), self._loop)


class BlockingStream:
    """A `Stream` that sends and receives in the client's thread, while the caller draws."""

    def __init__(self, stream: Stream, loop: "_LoopThread") -> None:
        self._stream = stream
        self._loop = loop

    @property
    def session_id(self) -> str | None:
        """Id of the recorded session; changes with a `Reconnected` event."""
        return self._stream.session_id

    def __enter__(self) -> Self:
        self._loop.run(self._stream.__aenter__)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.run(lambda: self._stream.__aexit__(*error))

    def frames(
        self,
        source: AsyncIterable[tuple[Frame, bytes]] | Iterable[tuple[Frame, bytes]],
        *,
        is_lossless: bool = False,
    ) -> Iterator[Event[Frame]]:
        """Send frames and yield what becomes of them; the source is read in a thread."""
        return self._loop.iterate(self._stream.frames(source, is_lossless=is_lossless))


class _LoopThread:
    """An event loop in a thread that does not keep the interpreter from ending."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ferclient", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Run it in the thread and wait for it; what interrupts the caller (Ctrl-C) cancels it.

        Raises:
            RuntimeError: the client is closed.
        """
        if not self._thread.is_alive():
            raise RuntimeError("the client is closed")
        done: Future[Result] = Future()
        tasks: list[asyncio.Task[None]] = []

        async def do() -> None:
            try:
                done.set_result(await work())
            except BaseException as err:  # noqa: BLE001  # all that it raises is the caller's
                done.set_exception(err)

        def cancel() -> None:
            tasks[0].cancel()

        # created there, so that an interruption of the caller leaves no coroutine that nobody awaits
        self._loop.call_soon_threadsafe(lambda: tasks.append(self._loop.create_task(do())))
        try:
            return done.result()
        finally:
            if not done.done():
                self._loop.call_soon_threadsafe(cancel)

    def iterate(self, items: AsyncGenerator[Item, None]) -> Iterator[Item]:
        """Yield item by item; what is left when the caller breaks off is cancelled."""
        turn = asyncio.Lock()  # a step that Ctrl-C cancels takes a moment to end

        async def step() -> tuple[Item] | None:
            async with turn:
                async for item in items:
                    return (item,)
                return None

        async def end() -> None:
            async with turn:
                await items.aclose()

        try:
            while (found := self.run(step)) is not None:
                yield found[0]
        finally:
            if self._thread.is_alive():
                self.run(end)

    def stop(self) -> None:
        """Stop what still runs, and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._runner.close()

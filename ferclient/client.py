"""Ask a server, asynchronously: images, catalogue, recorded sessions, live streams."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Self, TypeAlias, TypeVar

import httpx

from ferclient import calls
from ferclient.calls import USER_AGENT, Call, Image, image_bytes
from ferclient.errors import Refused, Unreachable, UnreadableAnswer, reason_of
from ferclient.patience import Patience
from ferclient.stream import Stream
from fercore.contracts.api import DetectorInfo, ModelInfo, Prediction, PredictOptions
from fercore.contracts.emotions import Emotion
from fercore.contracts.live import StreamOptions, Trend

DEFAULT_URL = "http://127.0.0.1:8080"
CONNECT_TIMEOUT_S = 5.0

Answer = TypeVar("Answer")
Outcome: TypeAlias = Prediction | Refused | OSError
"""What came of one image of many: its faces, or why there are none."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout)
_BROKEN = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


class AsyncClient:
    """A server, by its address.

    Args:
        url: where it is, as `http://127.0.0.1:8080`.
        timeout_s: to wait for one answer.
        patience_s: to ask again, all in all, while the server is busy (429, 503) or away; 0 asks once.
        transport: instead of the network.

    Raises:
        ValueError: `url` is none of http or https.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = 30.0,
        patience_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = _check_url(url)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._http = httpx.AsyncClient(
            base_url=self.url,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
            transport=transport,
            headers={"user-agent": USER_AGENT},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(self, image: Image, options: PredictOptions | None = None) -> Prediction:
        """Find every face of an image and its emotion.

        Raises:
            Refused: the server answered a problem.
            Unreachable: nobody answers there.
            UnreadableAnswer: something else answers there.
            OSError: the image cannot be read.
        """
        data = image if isinstance(image, bytes) else await asyncio.to_thread(image_bytes, image)
        return await self.ask(calls.predict(data, options or PredictOptions()))

    async def predict_many(
        self, images: Iterable[Image], options: PredictOptions | None = None, *, at_once: int = 4
    ) -> AsyncGenerator[Outcome, None]:
        """Do so with many images, each in a request of its own; yields one outcome for each, in order.

        An image that is refused or cannot be read has its exception as outcome.

        Raises:
            Refused: no image would be answered, as for an unknown model.
            Unreachable: nobody answers there.
            UnreadableAnswer: something else answers there.
        """
        pending: deque[asyncio.Task[Outcome]] = deque()
        try:
            for image in images:
                pending.append(asyncio.create_task(self._try_predict(image, options)))
                if len(pending) == at_once:
                    yield await pending[0]
                    pending.popleft()
            while pending:
                yield await pending[0]
                pending.popleft()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def models(self) -> list[ModelInfo]:
        """List the emotion models; raises as `predict`."""
        return await self.ask(calls.models())

    async def detectors(self) -> list[DetectorInfo]:
        """List the face detectors; raises as `predict`."""
        return await self.ask(calls.detectors())

    async def emotions(self) -> list[Emotion]:
        """List the canonical emotions; raises as `predict`."""
        return await self.ask(calls.emotions())

    async def trend(self, session_id: str, bucket_s: int = 10) -> Trend:
        """Return what a recorded session saw, in buckets of so many seconds; raises as `predict`."""
        return await self.ask(calls.trend(session_id, bucket_s))

    async def delete_session(self, session_id: str) -> None:
        """Delete a recorded session; raises as `predict`."""
        await self.ask(calls.delete_session(session_id))

    async def ask(self, call: Call[Answer]) -> Answer:
        """Send any call and read its answer, with the patience of all others; raises as `predict`."""
        patience = Patience(self._patience_s)
        while True:
            try:
                response = await self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.query),
                    content=call.content,
                    headers={} if call.content is None else {"content-type": call.content_type},
                )
            except httpx.TransportError as err:
                may_repeat = isinstance(err, _NOT_SENT) or (call.may_repeat and isinstance(err, _BROKEN))
                wait_s = patience.next_wait_s() if may_repeat else None
                if wait_s is None:
                    raise Unreachable(self.url, self._reason(err)) from err
            except httpx.RequestError as err:
                raise UnreadableAnswer(f"{self.url} answered something unreadable: {err}") from err
            else:
                is_busy = response.status_code in call.retry_on
                wait_s = patience.next_wait_s(_retry_after_s(response)) if is_busy else None
                if wait_s is None:
                    return call.read(response)
            await asyncio.sleep(wait_s)

    def stream(self, options: StreamOptions | None = None) -> Stream:
        """Build a live stream to be entered: `async with client.stream() as stream`."""
        return Stream(
            self.url, options or StreamOptions(), timeout_s=self._timeout_s, patience_s=self._patience_s
        )

    async def _try_predict(self, image: Image, options: PredictOptions | None) -> Outcome:
        try:
            return await self.predict(image, options)
        except Refused as err:
            if not err.is_of_the_image:
                raise
            return err
        except Unreachable:  # an OSError too, and not of this image
            raise
        except OSError as err:
            return err

    def _reason(self, error: httpx.TransportError) -> str:
        if isinstance(error, httpx.TimeoutException):
            return f"no answer in {self._timeout_s:g} s"
        return reason_of(error)


def _check_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as err:
        raise ValueError(f"{url!r} is no address: {err}") from err
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is no address such as {DEFAULT_URL}")
    return url.rstrip("/")


def _retry_after_s(response: httpx.Response) -> float:
    """Return the seconds of `Retry-After`; a date (RFC 9110 allows one) is not read."""
    stated = response.headers.get("retry-after", "")
    return float(stated) if stated.isdecimal() else 0.0

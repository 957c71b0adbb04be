"""Callers that go on asking while something is killed, and count how each request ended.

Know nothing of containers.
"""

import threading
from collections import Counter
from types import TracebackType

import httpx

from tests.support.images import portrait_jpeg

PAUSE_S = 0.1
"""After an error: an honest client does not ask again at once."""


class Callers:
    """Some at once, each asking again as soon as it is answered, while the block runs."""

    def __init__(self, url: str, *, count: int = 4) -> None:
        self._url = url
        self._image = portrait_jpeg()
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._ended: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(count)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        return self._ended["answered"]

    @property
    def errors(self) -> dict[str, int]:
        """Requests that ended in a problem, by its code."""
        return {end: n for end, n in sorted(self._ended.items()) if end != "answered" and " " not in end}

    @property
    def lost(self) -> dict[str, int]:
        """Requests that ended otherwise: no answer, or one that says nothing."""
        return {end: n for end, n in self._ended.items() if " " in end}

    def _go_on(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as client:
            while not self._is_over.is_set():
                end = self._ask(client)
                with self._lock:
                    self._ended[end] += 1
                if end != "answered":
                    self._is_over.wait(PAUSE_S)

    def _ask(self, client: httpx.Client) -> str:
        headers = {"Content-Type": "image/jpeg"}
        try:
            answer = client.post("/predict", content=self._image, headers=headers)
        except httpx.TransportError as err:
            return f"no answer: {err!r}"
        if answer.status_code == 200:
            return "answered" if answer.json()["faces"] else "answered without the face"
        if answer.headers["content-type"] == "application/problem+json":
            return str(answer.json()["code"])
        return f"no problem+json: {answer.status_code}"

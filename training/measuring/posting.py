"""Post pictures to a running cluster: several requests at once, again when it is busy.

Knows no route and no meaning of an answer.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from types import MappingProxyType

import httpx
from tqdm import tqdm

from training.errors import TrainingError

TIMEOUT_S = 60.0
PATIENCE_S = 120.0
"""A request that a busy cluster turned away is given up after this."""

LONGEST_WAIT_S = 30.0
USUAL_WAIT_S = 1.0
BUSY = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT)


class NothingThereError(TrainingError):
    """The service has no such route or no such model (404)."""


@dataclass(frozen=True, slots=True)
class Post:
    """One request: encoded pictures, each as a part `file` of a multipart body."""

    url: str
    pictures: tuple[bytes, ...]
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def post_all(posts: Sequence[Post], *, at_once: int, title: str) -> list[bytes]:
    """Send all, at most `at_once` at a time, and give the bodies of the answers in the same order.

    An answer of 429, 503 or 504 is asked for again after its `Retry-After`; so is a broken connection.

    Raises:
        NothingThereError: an answer is 404.
        TrainingError: nobody answers there, an answer is another error, or patience is over.
    """
    is_over = threading.Event()
    pictures = sum(len(post.pictures) for post in posts)
    with (
        httpx.Client(timeout=TIMEOUT_S) as client,
        ThreadPoolExecutor(at_once, thread_name_prefix="post") as pool,
        tqdm(total=pictures, desc=title, unit="picture") as bar,
    ):
        futures = {pool.submit(_post, client, post, is_over): post for post in posts}
        try:
            for future in as_completed(futures):
                future.result()
                bar.update(len(futures[future].pictures))
        finally:  # after an error or Ctrl-C, only those that are under way end, and none waits any more
            is_over.set()
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _post(client: httpx.Client, post: Post, is_over: threading.Event) -> bytes:
    files = [("file", (f"{number}", picture)) for number, picture in enumerate(post.pictures)]
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = client.post(post.url, params=dict(post.query), files=files)
        except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL) as err:
            raise TrainingError(f"nobody answers at {post.url}: {err}") from err
        except httpx.TransportError as err:
            wait_s, reason = USUAL_WAIT_S, str(err) or type(err).__name__
        else:
            if answer.is_success:
                return answer.content
            reason = f"{answer.status_code} {_detail(answer)}"
            if answer.status_code not in BUSY:
                is_missing = answer.status_code == httpx.codes.NOT_FOUND
                raise (NothingThereError if is_missing else TrainingError)(f"{post.url} answered {reason}")
            wait_s = _wait_s(answer)
        if time.monotonic() + wait_s > give_up_at:
            raise TrainingError(f"{post.url} was given up after {PATIENCE_S:g} s: {reason}")
        if is_over.wait(wait_s):
            raise TrainingError(f"{post.url} was no longer asked: {reason}")


def _wait_s(answer: httpx.Response) -> float:
    """Give the seconds of `Retry-After`; a date (RFC 9110 allows one) is not read."""
    stated = answer.headers.get("retry-after", "")
    return min(float(stated), LONGEST_WAIT_S) if stated.isdecimal() else USUAL_WAIT_S


def _detail(answer: httpx.Response) -> str:
    """Give the `detail` of an RFC 9457 problem, or the reason phrase."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase

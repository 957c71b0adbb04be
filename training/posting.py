"""Post pictures to a running cluster: several requests at once, again when it is busy.

Knows no route and no meaning of an answer.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
        TrainingError: nobody answers there, an answer is another error, or patience is over.
    """
    bodies: list[bytes] = []
    pictures = sum(len(post.pictures) for post in posts)
    with (
        httpx.Client(timeout=TIMEOUT_S) as client,
        ThreadPoolExecutor(at_once, thread_name_prefix="post") as pool,
        tqdm(total=pictures, desc=title, unit="picture") as bar,
    ):
        futures = [pool.submit(_post, client, post) for post in posts]
        try:
            for post, future in zip(posts, futures, strict=True):
                bodies.append(future.result())
                bar.update(len(post.pictures))
        finally:  # after an error or Ctrl-C, only those that are under way end
            pool.shutdown(cancel_futures=True)
    return bodies


def _post(client: httpx.Client, post: Post) -> bytes:
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
                raise TrainingError(f"{post.url} answered {reason}")
            wait_s = _wait_s(answer)
        if time.monotonic() + wait_s > give_up_at:
            raise TrainingError(f"{post.url} was given up after {PATIENCE_S:g} s: {reason}")
        time.sleep(wait_s)


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

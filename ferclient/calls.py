"""The requests that a server answers, and how each answer is read; `ferclient.client` sends them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Generic, TypeAlias, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from ferclient.errors import Refused, UnreadableAnswer
from fercore.contracts.api import (
    DetectorInfo,
    Detectors,
    EmotionList,
    ModelInfo,
    Models,
    Prediction,
    PredictOptions,
    Problem,
)
from fercore.contracts.emotions import Emotion
from fercore.contracts.live import Trend
from fercore.version import VERSION

USER_AGENT = f"ferclient/{VERSION}"
"""Sent with every request and every stream."""

Image: TypeAlias = bytes | str | PathLike[str] | BinaryIO
"""An encoded image (JPEG, PNG or WebP), its path, or an open file of it."""

Answer = TypeVar("Answer")
Body = TypeVar("Body", bound=BaseModel)

BUSY = frozenset({429, 503})
"""Statuses of a server that asks for patience."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request.

    Attributes:
        read: returns the result of an answer, or raises a `ClientError`.
        may_repeat: a broken connection does not tell whether the request was served; ask again?
        content_type: of the content; a server looks at the bytes of an image itself.
        retry_on: statuses after which the request is repeated.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], Answer]
    query: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    may_repeat: bool = True
    content_type: str = "application/octet-stream"
    retry_on: frozenset[int] = BUSY


def image_bytes(image: Image) -> bytes:
    """Return the encoded image, read from the file where it is one.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(image, bytes):
        return image
    return Path(image).read_bytes() if isinstance(image, str | PathLike) else image.read()


def predict(image: bytes, options: PredictOptions) -> Call[Prediction]:
    """Ask for the faces of one image; options that the caller left alone are the server's to choose."""
    query = {name: str(value) for name, value in options.model_dump(exclude_unset=True).items()}
    return Call("POST", "predict", partial(read_answer, Prediction), query, image)


def models() -> Call[list[ModelInfo]]:
    """Ask for the emotion models."""
    return Call("GET", "models", lambda response: read_answer(Models, response).models)


def detectors() -> Call[list[DetectorInfo]]:
    """Ask for the face detectors."""
    return Call("GET", "detectors", lambda response: read_answer(Detectors, response).detectors)


def emotions() -> Call[list[Emotion]]:
    """Ask for the canonical emotions."""
    return Call("GET", "emotions", lambda response: read_answer(EmotionList, response).emotions)


def trend(session_id: str, bucket_s: int) -> Call[Trend]:
    """Ask for what a recorded session saw."""
    path = f"sessions/{quote(session_id, safe='')}/trend"
    return Call("GET", path, partial(read_answer, Trend), {"bucket": f"{bucket_s}s"})


def delete_session(session_id: str) -> Call[None]:
    """Ask to delete a recorded session; a server that is asked twice would not know it any more."""
    return Call("DELETE", f"sessions/{quote(session_id, safe='')}", _read_nothing, may_repeat=False)


def refusal(status: int, reason_phrase: str, body: bytes) -> Refused | UnreadableAnswer:
    """Build the exception for an answer that is no success."""
    try:
        return Refused.by(Problem.model_validate_json(body, extra="ignore"))
    except ValidationError:
        return UnreadableAnswer(f"no fer-cluster's answer: {status} {reason_phrase}")


def read_answer(form: type[Body], response: httpx.Response) -> Body:
    """Read an answer; unknown fields are ignored, as clients must, although the bodies forbid them.

    Raises:
        Refused: it is a problem.
        UnreadableAnswer: it is something else than `form`.
    """
    _read_nothing(response)
    try:
        return form.model_validate_json(response.content, extra="ignore")
    except ValidationError as err:
        raise UnreadableAnswer(f"{response.url} answered something else than {form.__name__}: {err}") from err


def _read_nothing(response: httpx.Response) -> None:
    if not response.is_success:
        raise refusal(response.status_code, response.reason_phrase, response.content)

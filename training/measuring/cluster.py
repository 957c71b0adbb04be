"""Answers of a running cluster: framed faces through `POST /classify`, whole images through `POST /predict`.

The answers are measured like those of any other model. The requests are ferclient's.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import httpx
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel
from tqdm import tqdm

from ferclient import AsyncClient, ClientError, Refused
from ferclient.calls import BUSY, Call, read_answer
from fercore.contracts.api import AS_TRAINED, ModelRef, Prior
from fercore.contracts.emotions import EMOTIONS, Emotion
from training.errors import TrainingError
from training.measuring.metrics import Labels, Probabilities

TIMEOUT_S = 60.0
PATIENCE_S = 120.0
"""A request that a busy cluster turns away is repeated for so long."""

RETRY_ON = BUSY | {httpx.codes.GATEWAY_TIMEOUT}


class NothingThereError(TrainingError):
    """The service has no such route or no such model (404)."""


class Face(BaseModel):
    """What is read of a face; unknown fields are ignored, as clients must."""

    probabilities: dict[Emotion, float]
    detection_score: float = 1.0


class Faces(BaseModel):
    """What is read of an answer."""

    model: ModelRef
    prior: Prior = AS_TRAINED
    faces: list[Face]


@dataclass(frozen=True, slots=True)
class Service:
    """Where and how to ask.

    Attributes:
        url: of the service that has the route, without it.
        model: which emotion model; the service's own default where it is None.
        detector: which detector, or None for the default.
        at_once: how many requests.
        images_each: how many framed faces a request.
        prior: which mix of expressions to expect; the service's own default where it is None.
    """

    url: str
    model: str | None = None
    detector: str | None = None
    at_once: int = 4
    images_each: int = 16
    prior: str | None = None

    def ask(self, route: str, batches: Sequence[Sequence[bytes]], **query: str | None) -> list[Faces]:
        """Post batches of encoded images, several requests at a time; return the answers in their order.

        A request is repeated while the service is busy (429, 503, 504).

        Raises:
            NothingThereError: an answer is 404.
            TrainingError: no service answers, or an answer is another error.
        """
        place = f"{self.url.rstrip('/')}/{route}"
        calls = [self._call(route, images, query) for images in batches]
        try:
            return asyncio.run(self._ask(calls, [len(images) for images in batches], route))
        except Refused as err:
            reason = f"{err.status} {err.detail}"
            if err.status in RETRY_ON:
                raise TrainingError(f"{place} was given up after {PATIENCE_S:g} s: {reason}") from err
            is_missing = err.status == httpx.codes.NOT_FOUND
            raise (NothingThereError if is_missing else TrainingError)(f"{place} answered {reason}") from err
        except (ClientError, ValueError) as err:
            raise TrainingError(" ".join(str(err).split())) from err

    def _call(self, route: str, images: Sequence[bytes], query: dict[str, str | None]) -> Call[Faces]:
        files = [("file", (f"{number}", image)) for number, image in enumerate(images)]
        form = httpx.Request("POST", self.url, files=files)
        asked = {"model": self.model, "prior": self.prior, **query}
        return Call(
            "POST",
            route,
            partial(read_answer, Faces),
            {name: value for name, value in asked.items() if value is not None},
            form.read(),
            content_type=form.headers["content-type"],
            retry_on=RETRY_ON,
        )

    async def _ask(self, calls: Sequence[Call[Faces]], sizes: Sequence[int], title: str) -> list[Faces]:
        async with AsyncClient(self.url, timeout_s=TIMEOUT_S, patience_s=0) as client:
            await client.ask(Call("GET", "livez", lambda _: None))  # fails at once where no service answers
        permits = asyncio.Semaphore(self.at_once)
        async with AsyncClient(self.url, timeout_s=TIMEOUT_S, patience_s=PATIENCE_S) as client:
            with tqdm(total=sum(sizes), desc=title, unit="image") as bar:

                async def ask(call: Call[Faces], size: int) -> Faces:
                    async with permits:
                        answer = await client.ask(call)
                    bar.update(size)
                    return answer

                return await asyncio.gather(*map(ask, calls, sizes))


@dataclass(frozen=True, slots=True)
class Served:
    """The answers of a service.

    Attributes:
        model: which one answered, name and version.
        emotions: its labels, in canonical order.
        probabilities: calibrated, [n, K]; rows of sum 1.
        rows: which of the images these are, [n]: where no face was found there is no answer.
        prior: what the probabilities assume.
    """

    model: str
    emotions: tuple[Emotion, ...]
    probabilities: Probabilities
    rows: Labels
    prior: Prior


def classify_faces(service: Service, tiles: npt.NDArray[np.uint8]) -> Served:
    """Send framed faces to a classifier; return its answers.

    Args:
        service: the classifier's address.
        tiles: uint8 [n, h, w] grey or [n, h, w, 3] RGB, n > 0.

    Raises:
        TrainingError: it cannot be reached, answers an error, or not one for each face.
    """
    step = service.images_each
    batches = [
        [_to_png(tile) for tile in tiles[start : start + step]] for start in range(0, len(tiles), step)
    ]
    answers = service.ask("classify", batches)
    for batch, answer in zip(batches, answers, strict=True):
        if len(answer.faces) != len(batch):
            raise TrainingError(f"{service.url} answered {len(answer.faces)} of {len(batch)} faces")
    return _join(answers, [face for answer in answers for face in answer.faces], np.arange(len(tiles)))


def predict_images(service: Service, images: Sequence[bytes]) -> Served:
    """Send whole images to a gateway; return its answers for the face with the highest score in each.

    Args:
        service: the gateway's address.
        images: encoded, at least one.

    Raises:
        TrainingError: it cannot be reached, answers an error, or finds no face at all.
    """
    answers = service.ask("predict", [[data] for data in images], detector=service.detector)
    rows = [row for row, answer in enumerate(answers) if answer.faces]
    if not rows:
        raise TrainingError(f"{service.url} found no face in any of {len(images)} photographs")
    primary = [max(answers[row].faces, key=lambda face: face.detection_score) for row in rows]
    return _join([answers[row] for row in rows], primary, np.array(rows, np.int64))


def _join(answers: Sequence[Faces], faces: Sequence[Face], rows: Labels) -> Served:
    models = {f"{answer.model.name} {answer.model.version}" for answer in answers}
    known = {frozenset(face.probabilities) for face in faces}
    if len(models) > 1 or len(known) > 1:
        raise TrainingError(f"the model changed while it was asked: {', '.join(sorted(models))}")
    emotions = tuple(emotion for emotion in EMOTIONS if emotion in faces[0].probabilities)
    probabilities = np.array([[face.probabilities[emotion] for emotion in emotions] for face in faces])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Served(models.pop(), emotions, probabilities, rows, answers[0].prior)


def _to_png(tile: npt.NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".png", tile if tile.ndim == 2 else tile[..., ::-1])
    return data.tobytes()

"""Answers of a running cluster: framed faces through `POST /classify`, photographs through `POST /predict`.

Knows no figure: what comes back is measured as any other model's answers are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from fercore.contracts.api import ModelRef
from fercore.contracts.emotions import EMOTIONS, Emotion
from training.errors import TrainingError
from training.measuring.metrics import Labels, Probabilities
from training.measuring.posting import Post, post_all

Answer = TypeVar("Answer", bound=BaseModel)


class _Face(BaseModel):
    """What is read of a face; unknown fields are ignored, as clients must."""

    probabilities: dict[Emotion, float]
    detection_score: float = 1.0


class _Faces(BaseModel):
    model: ModelRef
    faces: list[_Face]


@dataclass(frozen=True, slots=True)
class Service:
    """Where and how to ask.

    Attributes:
        url: of the service that has the route, without it.
        model: which emotion model; the service's own default where it is None.
        detector: which detector, likewise.
        at_once: how many requests.
        pictures_each: how many framed faces a request.
    """

    url: str
    model: str | None = None
    detector: str | None = None
    at_once: int = 4
    pictures_each: int = 16

    def post(self, route: str, pictures: Sequence[bytes], **query: str | None) -> Post:
        """Make one request."""
        chosen = {"model": self.model, **query}
        return Post(
            f"{self.url.rstrip('/')}/{route}",
            tuple(pictures),
            {name: value for name, value in chosen.items() if value is not None},
        )


@dataclass(frozen=True, slots=True)
class Served:
    """The answers of a service.

    Attributes:
        model: which one answered, name and version.
        emotions: what it knows, in canonical order.
        probabilities: calibrated, [n, K]; rows of sum 1.
        rows: which of the pictures these are, [n]: where no face was found there is no answer.
    """

    model: str
    emotions: tuple[Emotion, ...]
    probabilities: Probabilities
    rows: Labels


def classify_faces(service: Service, tiles: npt.NDArray[np.uint8]) -> Served:
    """Have a classifier answer framed faces.

    Args:
        service: the classifier's address.
        tiles: uint8 [n, h, w] grey or [n, h, w, 3] RGB, n > 0.

    Raises:
        TrainingError: it cannot be reached, answers an error, or not one for each face.
    """
    step = service.pictures_each
    parts = [tiles[start : start + step] for start in range(0, len(tiles), step)]
    posts = [service.post("classify", [_to_png(tile) for tile in part]) for part in parts]
    answers = [
        _read(body, _Faces, posts[0].url)
        for body in post_all(posts, at_once=service.at_once, title="classifying")
    ]
    for part, answer in zip(parts, answers, strict=True):
        if len(answer.faces) != len(part):
            raise TrainingError(f"{posts[0].url} answered {len(answer.faces)} of {len(part)} faces")
    return _together(answers, [face for answer in answers for face in answer.faces], np.arange(len(tiles)))


def predict_photographs(service: Service, photographs: Sequence[bytes]) -> Served:
    """Have a gateway find the likeliest face of each photograph and answer it.

    Args:
        service: the gateway's address.
        photographs: encoded, at least one.

    Raises:
        TrainingError: it cannot be reached, answers an error, or finds no face at all.
    """
    posts = [service.post("predict", [data], detector=service.detector) for data in photographs]
    answers = [
        _read(body, _Faces, posts[0].url)
        for body in post_all(posts, at_once=service.at_once, title="predicting")
    ]
    rows = [row for row, answer in enumerate(answers) if answer.faces]
    if not rows:
        raise TrainingError(f"{posts[0].url} found no face in any of {len(posts)} photographs")
    likeliest = [max(answers[row].faces, key=lambda face: face.detection_score) for row in rows]
    return _together([answers[row] for row in rows], likeliest, np.array(rows, np.int64))


def _together(answers: Sequence[_Faces], faces: Sequence[_Face], rows: Labels) -> Served:
    models = {f"{answer.model.name} {answer.model.version}" for answer in answers}
    known = {frozenset(face.probabilities) for face in faces}
    if len(models) > 1 or len(known) > 1:
        raise TrainingError(f"the model changed while it was asked: {', '.join(sorted(models))}")
    emotions = tuple(emotion for emotion in EMOTIONS if emotion in faces[0].probabilities)
    probabilities = np.array([[face.probabilities[emotion] for emotion in emotions] for face in faces])
    return Served(models.pop(), emotions, probabilities / probabilities.sum(axis=1, keepdims=True), rows)


def _read(body: bytes, form: type[Answer], url: str) -> Answer:
    try:
        return form.model_validate_json(body)
    except ValidationError as err:
        raise TrainingError(f"{url} answered something else than faces ({err.error_count()} faults)") from err


def _to_png(tile: npt.NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".png", tile if tile.ndim == 2 else tile[..., ::-1])
    return data.tobytes()

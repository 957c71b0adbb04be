"""The public bodies of the HTTP interface.

Knows no HTTP. Requests forbid unknown fields; clients must ignore unknown fields in answers.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from fercore.contracts.emotions import Emotion


class Body(BaseModel):
    """Base of all public bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid")


PluginName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
"""Name of a model or a detector: a folder without `emotion_`, or a file."""

Probability = Annotated[float, Field(ge=0, le=1)]


class PredictOptions(Body):
    """Query parameters of `POST /predict`."""

    model: Annotated[PluginName | None, Field(description="An emotion model of `GET /models`")] = None
    detector: Annotated[PluginName | None, Field(description="A detector of `GET /detectors`")] = None
    max_faces: Annotated[int, Field(ge=1, le=256, description="Keep the largest so many faces")] = 32
    min_face_px: Annotated[
        int, Field(ge=1, le=10_000, description="Leave out faces whose longer side is shorter, in pixels")
    ] = 24
    min_score: Annotated[
        float, Field(ge=0, le=1, description="Leave out faces with a lower detection score")
    ] = 0.5


class JsonImages(Body):
    """The JSON form of the body: one picture or several, base64 or data URL."""

    image: str | None = None
    images: Annotated[list[str] | None, Field(min_length=1), FailFast()] = None

    @model_validator(mode="after")
    def _check_one_form(self) -> Self:
        if (self.image is None) == (self.images is None):
            raise ValueError("give either `image` or `images`")
        return self


class Box(Body):
    """A face's place in pixels of the upright picture, clipped to it."""

    x: float
    y: float
    width: float
    height: float


class Point(Body):
    """A point in pixels of the upright picture."""

    x: float
    y: float


class Landmarks(Body):
    """The five points of a face; left and right as the viewer sees them."""

    left_eye: Point
    right_eye: Point
    nose: Point
    mouth_left: Point
    mouth_right: Point


class DetectedFace(Body):
    """A face without its emotion."""

    box: Box
    landmarks: Landmarks | None
    detection_score: Probability


class Face(DetectedFace):
    """A face and its calibrated emotion probabilities."""

    emotion: Emotion
    score: Annotated[Probability, Field(description="The probability of `emotion`")]
    uncertain: Annotated[bool, Field(description="The score is too low to be trusted")]
    probabilities: dict[Emotion, Probability]


class ImageSize(Body):
    """Size of the upright picture in pixels."""

    width: int
    height: int


class ModelRef(Body):
    """Which model answered."""

    name: str
    version: str


class TimingsMs(Body):
    """Milliseconds by stage; `queue` is both hops, `total` is the gateway's own view."""

    queue: float
    decode: float
    detect: float
    align: float
    infer: float
    total: float


class Prediction(Body):
    """The answer for one picture; faces come largest first, none is an empty list."""

    request_id: str
    model: ModelRef
    detector: str
    image: ImageSize
    faces: list[Face]
    timings_ms: TimingsMs


class Problem(Body):
    """An RFC 9457 problem; `code` is the machine's word for it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str


class FailedPrediction(Body):
    """What stands in `results` for a picture that could not be analysed."""

    error: Problem


class Predictions(Body):
    """The answer for several pictures, in their order."""

    results: list[Prediction | FailedPrediction]


class Detection(Body):
    """The answer of the detector's own `POST /detect` for one picture."""

    request_id: str
    detector: str
    image: ImageSize
    faces: list[DetectedFace]
    timings_ms: dict[str, float]


class Detections(Body):
    """The answer of `POST /detect` for several pictures, in their order."""

    results: list[Detection | FailedPrediction]


class Classification(Body):
    """Probabilities of one framed face."""

    emotion: Emotion
    score: Probability
    uncertain: bool
    probabilities: dict[Emotion, Probability]


class Classifications(Body):
    """The answer of the classifier's own `POST /classify`: one for each face, in order."""

    request_id: str
    model: ModelRef
    faces: list[Classification]


class ModelInfo(Body):
    """One entry of `GET /models`."""

    name: str
    version: str
    labels: list[Emotion]
    description: str
    default: bool


class DetectorInfo(Body):
    """One entry of `GET /detectors`."""

    name: str
    default: bool


class Models(Body):
    """`GET /models`: what live classifiers offer."""

    models: list[ModelInfo]


class Detectors(Body):
    """`GET /detectors`: what live detectors offer."""

    detectors: list[DetectorInfo]


class EmotionList(Body):
    """`GET /emotions`: the canonical emotions in their order."""

    emotions: list[Emotion]

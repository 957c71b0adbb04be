"""The public bodies of the HTTP interface.

Requests forbid unknown fields; clients must ignore unknown fields in answers.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from fercore.contracts.emotions import Emotion
from fercore.contracts.prior import TRAINING, PriorName, PriorText


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
    max_faces: Annotated[
        int, Field(ge=1, le=256, description="Maximum number of faces to return; the largest are kept")
    ] = 32
    min_face_px: Annotated[
        int, Field(ge=1, le=10_000, description="Leave out faces whose longer side is shorter, in pixels")
    ] = 24
    min_score: Annotated[
        float, Field(ge=0, le=1, description="Leave out faces with a lower detection score")
    ] = 0.5
    prior: PriorText | None = None


class JsonImages(Body):
    """The JSON form of the body: one image or several, base64 or data URL."""

    image: str | None = None
    images: Annotated[list[str] | None, Field(min_length=1), FailFast()] = None

    @model_validator(mode="after")
    def _check_one_form(self) -> Self:
        if (self.image is None) == (self.images is None):
            raise ValueError("give either `image` or `images`")
        return self


class Box(Body):
    """A face's place in pixels of the upright image, clipped to it."""

    x: float
    y: float
    width: float
    height: float


class Point(Body):
    """A point in pixels of the upright image."""

    x: float
    y: float


class Landmarks(Body):
    """The five points of a face; left and right as the viewer sees them."""

    left_eye: Point
    right_eye: Point
    nose: Point
    mouth_left: Point
    mouth_right: Point


class Pose(Body):
    """How a head is turned, in degrees; 0 looks at the camera."""

    yaw: Annotated[float, Field(description="Positive to the viewer's right")]
    pitch: Annotated[float, Field(description="Positive upwards")]
    roll: Annotated[float, Field(description="Positive clockwise for the viewer")]


class Exposure(Body):
    """How a face is lit."""

    brightness: Annotated[Probability, Field(description="Mean; 0 is black, 1 white")]
    contrast: Annotated[Probability, Field(description="Standard deviation of the brightness")]
    clipped: Annotated[Probability, Field(description="Share of pixels that are black or white")]


class Quality(Body):
    """How well a face can be seen."""

    size_px: Annotated[float, Field(ge=0, description="Side of the face in pixels of the image")]
    blur: Annotated[Probability, Field(description="0 is sharp")]
    exposure: Exposure
    pose: Annotated[Pose | None, Field(description="Needs a detector that finds landmarks")]


UncertainReason = Literal["low_score", "low_quality"]


class DetectedFace(Body):
    """A face without its emotion."""

    box: Box
    landmarks: Landmarks | None
    detection_score: Probability
    quality: Quality


class Classification(Body):
    """Calibrated emotion probabilities of one face."""

    emotion: Emotion
    score: Annotated[Probability, Field(description="The probability of `emotion`")]
    uncertain: Annotated[bool, Field(description="Whether the answer should not be relied on")]
    uncertain_reasons: Annotated[
        list[UncertainReason], Field(description="The score, or the face's quality, is too low")
    ]
    probabilities: dict[Emotion, Probability]


class Face(Classification, DetectedFace):
    """A face and its emotion."""


class ImageSize(Body):
    """Size of the upright image in pixels."""

    width: int
    height: int


class ModelRef(Body):
    """Which model answered."""

    name: str
    version: str


class Prior(Body):
    """The mix of expressions that the probabilities of an answer assume."""

    name: Annotated[
        PriorName, Field(description="`custom`: as the caller stated it; `auto`: estimated from the stream")
    ] = TRAINING
    shares: Annotated[
        dict[Emotion, Probability] | None, Field(description="Rounded; null where the model states none")
    ] = None


AS_TRAINED = Prior()
"""Of an answer that names none."""


class TimingsMs(Body):
    """Milliseconds by stage; `queue` is both hops, `total` is the gateway's own view."""

    queue: float
    decode: float
    detect: float
    align: float
    infer: float
    total: float


class Prediction(Body):
    """The answer for one image; faces come largest first, none is an empty list."""

    request_id: str
    model: ModelRef
    detector: str
    image: ImageSize
    prior: Prior = AS_TRAINED
    faces: list[Face]
    timings_ms: TimingsMs


class Problem(Body):
    """An RFC 9457 problem; `code` is a stable, machine-readable error code."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str


class FailedPrediction(Body):
    """What stands in `results` for an image that could not be analysed."""

    error: Problem


class Predictions(Body):
    """The answer for several images, in their order."""

    results: list[Prediction | FailedPrediction]


class Detection(Body):
    """The answer of the detector's own `POST /detect` for one image."""

    request_id: str
    detector: str
    image: ImageSize
    faces: list[DetectedFace]
    timings_ms: dict[str, float]


class Detections(Body):
    """The answer of `POST /detect` for several images, in their order."""

    results: list[Detection | FailedPrediction]


class Classifications(Body):
    """The answer of the classifier's own `POST /classify`: one for each face, in order."""

    request_id: str
    model: ModelRef
    prior: Prior = AS_TRAINED
    faces: list[Classification]


class ModelInfo(Body):
    """One entry of `GET /models`."""

    name: str
    version: str
    labels: list[Emotion]
    description: str
    default: bool
    training_shares: Annotated[
        dict[Emotion, Probability] | None,
        Field(description="The mix it was calibrated for; null: no other `prior` can be asked of it"),
    ] = None


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

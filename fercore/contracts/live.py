"""The public messages of `WS /stream`, and the bodies of recordings.

Knows no WebSocket and no store.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter

from fercore.contracts.api import Body, Face, Prediction, PredictOptions, Probability
from fercore.contracts.emotions import Emotion
from fercore.contracts.errors import ErrorCode
from fercore.contracts.prior import LivePriorText


def _distinct(emotions: tuple[Emotion, ...]) -> tuple[Emotion, ...]:
    if len(set(emotions)) != len(emotions):
        raise ValueError("an emotion stands twice")
    return emotions


class AlertRule(Body):
    """When the emotions of a live stream are worth a message.

    It fires when the stream has lasted for the window, and of all that was seen of faces in the window at
    least `share` had one of `emotions`; then not again during the cool-down.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = "negative"
    emotions: Annotated[tuple[Emotion, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        Emotion.SADNESS,
        Emotion.ANGER,
        Emotion.DISGUST,
        Emotion.FEAR,
    )
    share: Annotated[float, Field(gt=0, le=1, description="Of the faces seen in the window")] = 0.6
    window_s: Annotated[float, Field(ge=1, le=3600, description="Length of the window in seconds")] = 300.0
    cooldown_s: Annotated[float, Field(ge=0, le=86_400, description="Seconds of silence after an alert")] = (
        300.0
    )
    min_faces: Annotated[
        int, Field(ge=1, le=100_000, description="Faces that the window must hold before it fires")
    ] = 30


class StreamOptions(PredictOptions):
    """The client's first text message, `{"type": "start", ...}`; all is optional, and so is the message."""

    type: Literal["start"] = "start"
    prior: LivePriorText | None = None
    smoothing: Annotated[
        int, Field(ge=1, le=60, description="Frames of a face that are averaged; 1 is off")
    ] = 5
    record: Annotated[
        bool, Field(description="Keep scores (never images) for `GET /sessions/{id}/trend`")
    ] = False
    label: Annotated[
        str | None, Field(min_length=1, max_length=64, description="The client's name for the recording")
    ] = None
    alerts: Annotated[
        tuple[AlertRule, ...] | None,
        Field(max_length=8, description="Rules of this stream; absent: those of the server"),
    ] = None


class Stop(Body):
    """The client's last text message: frames sent are still answered, then come the stats and close 1000."""

    type: Literal["stop"]


ClientMessage = Annotated[StreamOptions | Stop, Field(discriminator="type")]
CLIENT_MESSAGE: TypeAdapter[StreamOptions | Stop] = TypeAdapter(ClientMessage)


class Smoothed(Body):
    """The rolling average of a face's last frames; its label changes only when another is clearly ahead."""

    emotion: Emotion
    score: Annotated[Probability, Field(description="The averaged probability of `emotion`")]
    probabilities: dict[Emotion, Probability]


class LiveFace(Face):
    """A face that is followed from frame to frame; `probabilities` are those of this frame alone."""

    face_id: Annotated[int, Field(ge=1, description="Stable while the face is followed, never used twice")]
    smoothed: Smoothed


class Started(Body):
    """Answers `start`."""

    type: Literal["started"] = "started"
    session_id: Annotated[
        str | None,
        Field(description="128 random bits in hexadecimal: the only handle of the recording"),
    ]


class StreamResult(Prediction):
    """Answers one frame."""

    type: Literal["result"] = "result"
    seq: Annotated[int, Field(ge=0, description="0-based index of the binary message")]
    faces: list[LiveFace]  # type: ignore[assignment]  # a list of a subclass; the body is frozen


class Dropped(Body):
    """A newer frame took this frame's place before it was analysed."""

    type: Literal["dropped"] = "dropped"
    seq: int
    reason: Literal["superseded"] = "superseded"


class StreamError(Body):
    """A frame, or a text message (then `seq` is None), that could not be served."""

    type: Literal["error"] = "error"
    seq: int | None
    code: ErrorCode
    detail: str
    request_id: str


class Alert(Body):
    """A rule fired."""

    type: Literal["alert"] = "alert"
    rule: str
    emotions: tuple[Emotion, ...]
    share: Annotated[Probability, Field(description="Reached in the window")]
    window_s: float
    at: AwareDatetime


class StreamStats(Body):
    """Comes before every close that the server starts: received = results + dropped + errors."""

    type: Literal["stats"] = "stats"
    received: int
    results: int
    dropped: int
    errors: int


ServerMessage = Annotated[
    Started | StreamResult | Dropped | StreamError | Alert | StreamStats, Field(discriminator="type")
]
SERVER_MESSAGE: TypeAdapter[Started | StreamResult | Dropped | StreamError | Alert | StreamStats] = (
    TypeAdapter(ServerMessage)
)


class TrendRow(Body):
    """What was seen of one face (or of all, in `totals`) in a span of time."""

    frames: Annotated[int, Field(ge=0, description="Frames in which the face was seen")]
    emotion: Annotated[Emotion | None, Field(description="The one with the largest share; none seen: null")]
    shares: Annotated[dict[Emotion, Probability], Field(description="Of the frames, by smoothed emotion")]
    probabilities: Annotated[dict[Emotion, Probability], Field(description="Mean of the raw probabilities")]
    valence: Annotated[float | None, Field(ge=-1, le=1, description="-1 unpleasant to 1 pleasant")]


class TrendBucket(TrendRow):
    """One face in one bucket of time."""

    start: AwareDatetime
    face_id: int


class Trend(Body):
    """`GET /sessions/{session_id}/trend`."""

    session_id: str
    label: str | None
    started_at: AwareDatetime
    expires_at: AwareDatetime
    bucket_s: float
    totals: Annotated[
        TrendRow, Field(description="All faces of the whole recording, for a pie or a bar chart")
    ]
    buckets: Annotated[list[TrendBucket], Field(description="By start, then by face")]
    alerts: list[Alert]

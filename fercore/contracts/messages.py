"""What travels in the bodies of the queue: msgpack structs, each with its schema version.

`fercore.messaging` moves these as opaque bytes. Crops travel as raw bytes: the gateway has no numpy.

A process reads messages of its own version only. A worker refuses another version by an `ErrorReply` in the
version that it refuses, so that the caller's gateway can read it. The field `schema_version` of all messages
and the form of `ErrorReply` must therefore never change.
"""

from typing import TypeVar

import msgspec

from fercore.contracts.api import PredictOptions
from fercore.contracts.card import FACE_SIZE
from fercore.contracts.errors import ErrorCode, FerError, InternalError, NotReady
from fercore.contracts.prior import PriorName

SCHEMA_VERSION = 4
CROP_BYTES = FACE_SIZE * FACE_SIZE * 3


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: int = SCHEMA_VERSION


class DetectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may ask of the detector; lengths in pixels of the upright image."""

    detector: str
    max_faces: int
    min_face_px: int
    min_score: float

    @classmethod
    def of(cls, options: PredictOptions, *, detector: str) -> "DetectOptions":
        """Return what a caller's options ask of the detector, which is named by its own name."""
        return cls(
            detector=detector,
            max_faces=options.max_faces,
            min_face_px=options.min_face_px,
            min_score=options.min_score,
        )


class ExpectedMix(msgspec.Struct, frozen=True, kw_only=True):
    """The mix of expressions that the classifier corrects probabilities for.

    Attributes:
        name: what the caller called it.
        shares: of each label of the model, sum 1.
    """

    name: PriorName
    shares: dict[str, float]


class FrameJob(_Message, frozen=True, kw_only=True):
    """Gateway to detector: one encoded image.

    Attributes:
        prior: handed on to the classifier; None: the mix that the model was calibrated for.
    """

    image: bytes
    options: DetectOptions
    model: str
    prior: ExpectedMix | None = None


class HeadPose(msgspec.Struct, frozen=True, kw_only=True):
    """How a head is turned, in degrees; 0 looks at the camera.

    Attributes:
        yaw: positive to the viewer's right.
        pitch: positive upwards.
        roll: positive clockwise for the viewer.
    """

    yaw: float
    pitch: float
    roll: float


class FaceQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How well a face can be seen; see `fercore.vision.quality`.

    Attributes:
        size_px: side of the square that was cropped, in pixels of the image.
        blur: from 0 (sharp) to 1.
        brightness: mean, in [0, 1].
        contrast: standard deviation of the brightness, in [0, 0.5].
        clipped: share of pixels that are black or white, in [0, 1].
        pose: None where the detector finds no landmarks.
    """

    size_px: float
    blur: float
    brightness: float
    contrast: float
    clipped: float
    pose: HeadPose | None


class FoundFace(msgspec.Struct, frozen=True, kw_only=True):
    """One face as the detector saw it.

    Attributes:
        box: x, y, width, height in pixels of the upright image, clipped to it.
        score: in [0, 1].
        landmarks: five x y pairs, or None.
        quality: of its crop.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[tuple[float, float], ...] | None = None
    quality: FaceQuality


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds that one image spent in each stage so far; 0 in a stage that it has not reached.

    Attributes:
        queue_ms: waiting in the queue, all hops together.
        decode_ms: of one decoding, or of both.
        detect_ms: finding the faces.
        align_ms: cropping the faces and measuring their quality.
        infer_ms: the inference call, which several images may share.
    """

    queue_ms: float = 0.0
    decode_ms: float = 0.0
    detect_ms: float = 0.0
    align_ms: float = 0.0
    infer_ms: float = 0.0

    def detector_ms(self) -> dict[str, float]:
        """Return the detector's own stages by name: `decode`, `detect` and `align`."""
        return {"decode": self.decode_ms, "detect": self.detect_ms, "align": self.align_ms}


class FaceBatch(_Message, frozen=True, kw_only=True):
    """Detector to classifier: the faces of one image, largest first, and their crops.

    Attributes:
        crops: uint8 [n, 112, 112, 3] RGB, canonical framing, as raw bytes in C order.
        prior: that of the `FrameJob`.
    """

    width: int
    height: int
    detector: str
    model: str
    faces: tuple[FoundFace, ...]
    crops: bytes
    timings: Timings
    prior: ExpectedMix | None = None


class FaceEmotions(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities of one face in the order of `FrameResult.labels`, sum 1.

    Attributes:
        is_score_low: the highest is below `uncertain_below` of the model's card.
        is_quality_low: the face is beyond one of the card's `quality_bounds`; False where none was measured.
    """

    probabilities: tuple[float, ...]
    is_score_low: bool
    is_quality_low: bool = False


class FrameResult(_Message, frozen=True, kw_only=True, tag="result"):
    """Detector (no face) or classifier to gateway: the analysis of one image.

    Attributes:
        model_version: None when there was no face, hence no model was asked.
        emotions: one for each of `faces`.
        prior: what their probabilities were corrected for; None: as the model was calibrated.
    """

    width: int
    height: int
    detector: str
    model: str
    model_version: str | None
    labels: tuple[str, ...]
    faces: tuple[FoundFace, ...]
    emotions: tuple[FaceEmotions, ...]
    timings: Timings
    prior: ExpectedMix | None = None


class ErrorReply(_Message, frozen=True, kw_only=True, tag="error"):
    """A worker's fault on its way to the caller; its form is the same in every schema version."""

    code: ErrorCode
    detail: str


class DetectorOffer(msgspec.Struct, frozen=True):
    """What one live detector worker offers."""

    detectors: tuple[str, ...]


class ModelOffer(msgspec.Struct, frozen=True):
    """One model of a classifier worker.

    Attributes:
        training_shares: of each label, as its card states them; None: no prior can be asked of it.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    description: str
    training_shares: dict[str, float] | None = None


class ClassifierOffer(msgspec.Struct, frozen=True):
    """What one live classifier worker offers."""

    models: tuple[ModelOffer, ...]


class UnreadableMessageError(Exception):
    """A body that is not the message it should be, or of another schema version."""


class OtherVersionError(UnreadableMessageError):
    """A message of another schema version, as they meet while a cluster is updated.

    Attributes:
        version: the message's.
        fault: what the caller is answered; worth another try.
    """

    def __init__(self, version: int) -> None:
        super().__init__(f"schema version {version}")
        self.version = version
        self.fault = NotReady(
            f"the cluster is being updated: message versions {version} and {SCHEMA_VERSION} met; try again"
        )


Message = TypeVar("Message", bound=FrameJob | FaceBatch | FrameResult | ErrorReply)


class _Head(msgspec.Struct):
    schema_version: int


_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(_Head)
_frame_job_decoder = msgspec.msgpack.Decoder(FrameJob)
_face_batch_decoder = msgspec.msgpack.Decoder(FaceBatch)
_reply_decoder: msgspec.msgpack.Decoder[FrameResult | ErrorReply] = msgspec.msgpack.Decoder(
    FrameResult | ErrorReply
)


def encode(message: FrameJob | FaceBatch | FrameResult | ErrorReply) -> bytes:
    """Return the msgpack body of a message."""
    return _encoder.encode(message)


def encode_error(error: FerError) -> bytes:
    """Return the body that carries a fault to the caller."""
    return _encoder.encode(ErrorReply(code=error.code, detail=error.detail))


def encode_refusal(refused: OtherVersionError) -> bytes:
    """Return the body that tells the caller, in the refused message's version, that it was refused."""
    fault = refused.fault
    return _encoder.encode(ErrorReply(schema_version=refused.version, code=fault.code, detail=fault.detail))


def decode_frame_job(body: bytes) -> FrameJob:
    """Read a `FrameJob`.

    Raises:
        OtherVersionError: it is of another version.
        UnreadableMessageError: it is none.
    """
    return _decode(_frame_job_decoder, body)


def decode_face_batch(body: bytes) -> FaceBatch:
    """Read a `FaceBatch`.

    Raises:
        OtherVersionError: it is of another version.
        UnreadableMessageError: it is none, or its crops do not fit its faces.
    """
    batch = _decode(_face_batch_decoder, body)
    if len(batch.crops) != len(batch.faces) * CROP_BYTES:
        raise UnreadableMessageError("crops do not fit faces")
    return batch


def decode_reply(body: bytes) -> FrameResult:
    """Read a worker's reply.

    Raises:
        FerError: the fault that an `ErrorReply` carries.
        OtherVersionError: it is of another version.
        UnreadableMessageError: it is no reply.
    """
    reply: FrameResult | ErrorReply = _decode(_reply_decoder, body)
    if isinstance(reply, ErrorReply):
        raise RemoteError(reply.code, reply.detail)
    return reply


class RemoteError(FerError):
    """A fault that happened in a worker, with the worker's own code."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(InternalError().detail if code == "internal" else detail)
        self.code = code  # type: ignore[misc]  # the class's code is only a default


def _decode(decoder: msgspec.msgpack.Decoder[Message], body: bytes) -> Message:
    try:
        version = _head_decoder.decode(body).schema_version  # first: of another version all else may differ
        if version != SCHEMA_VERSION:
            raise OtherVersionError(version)
        return decoder.decode(body)
    except msgspec.DecodeError as err:  # ValidationError is one
        raise UnreadableMessageError(str(err)) from err

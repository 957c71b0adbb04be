"""Every fault that a caller can meet; a fault carries a code, never an HTTP number.

Knows no transport: `fercore.service.errors` maps codes to statuses, and a worker's fault travels to the
gateway as an `ErrorReply`.

    FerError
    +-- PayloadTooLarge        payload_too_large
    +-- UnsupportedMedia       unsupported_media
    +-- InvalidImage           invalid_image
    +-- InvalidRequest         invalid_request
    |   +-- NoTrainingShares   invalid_request
    +-- UnknownModel           unknown_model
    +-- UnknownDetector        unknown_detector
    +-- UnknownSession         unknown_session
    +-- Overloaded             overloaded
    +-- NotReady               not_ready
    +-- UpstreamUnavailable    upstream_unavailable
    +-- DeadlineExceeded       deadline_exceeded
    +-- InternalError          internal
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

ErrorCode = Literal[
    "payload_too_large",
    "unsupported_media",
    "invalid_image",
    "invalid_request",
    "unknown_model",
    "unknown_detector",
    "unknown_session",
    "overloaded",
    "not_ready",
    "upstream_unavailable",
    "deadline_exceeded",
    "internal",
]


class FerError(Exception):
    """A fault with a public `code` and a `detail` that a caller may read."""

    code: ClassVar[ErrorCode] = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class PayloadTooLarge(FerError):
    """A body or an image in it has more bytes than is allowed."""

    code = "payload_too_large"

    def __init__(self, what: str, limit_bytes: int) -> None:
        super().__init__(f"{what} is larger than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class UnsupportedMedia(FerError):
    """The bytes are no JPEG, PNG or WebP image, or the body's content type is not known."""

    code = "unsupported_media"


class InvalidImage(FerError):
    """An image that does not decode, has no pixels, or more of them than is allowed."""

    code = "invalid_image"


class InvalidRequest(FerError):
    """Options or a body that are not of the documented form."""

    code = "invalid_request"


class NoTrainingShares(InvalidRequest):
    """A prior was asked of a model whose card does not state the mix that it was calibrated for."""

    def __init__(self, model: str, able: Sequence[str]) -> None:
        super().__init__(
            f"prior: the card of the model {model!r} states no training_shares, so it can answer with "
            f"prior=training only; models that can: {', '.join(sorted(able)) or 'none'}"
        )
        self.model = model


class UnknownModel(FerError):
    """No live classifier offers the model that was asked for."""

    code = "unknown_model"

    def __init__(self, model: str, offered: Sequence[str]) -> None:
        super().__init__(f"there is no model {model!r}; there is: {', '.join(sorted(offered)) or 'none'}")
        self.model = model


class UnknownDetector(FerError):
    """No live detector service offers the detector that was asked for."""

    code = "unknown_detector"

    def __init__(self, detector: str, offered: Sequence[str]) -> None:
        # whether it lacks its weights, or does not exist at all, only a worker could tell
        super().__init__(
            f"the detector {detector!r} is not offered; offered: {', '.join(sorted(offered)) or 'none'}; "
            "`make models` fetches the weights of others"
        )
        self.detector = detector


class UnknownSession(FerError):
    """No recorded session has this id, or none any more."""

    code = "unknown_session"

    def __init__(self) -> None:
        super().__init__("there is no such session; it may have expired, or have been deleted")


class Overloaded(FerError):
    """No permit is free at the gateway; try again."""

    code = "overloaded"


class NotReady(FerError):
    """A part that the request needs is still loading, or no live worker offers it."""

    code = "not_ready"


class UpstreamUnavailable(FerError):
    """Redis or the inference server cannot be reached."""

    code = "upstream_unavailable"


class DeadlineExceeded(FerError):
    """No answer came before the request's deadline."""

    code = "deadline_exceeded"


class InternalError(FerError):
    """A bug; the detail is generic, the traceback stands in the log only."""

    code = "internal"

    def __init__(self, detail: str = "an internal error occurred") -> None:
        super().__init__(detail)

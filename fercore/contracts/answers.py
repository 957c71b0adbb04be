"""Turn what travels in the queue into the public bodies; pure data to pure data."""

from collections.abc import Mapping, Sequence

from fercore.contracts.api import (
    Box,
    Classification,
    DetectedFace,
    Exposure,
    Face,
    ImageSize,
    Landmarks,
    ModelRef,
    Point,
    Pose,
    Prediction,
    Prior,
    Quality,
    TimingsMs,
    UncertainReason,
)
from fercore.contracts.emotions import Emotion
from fercore.contracts.messages import (
    ExpectedMix,
    FaceEmotions,
    FaceQuality,
    FoundFace,
    FrameResult,
    Timings,
)
from fercore.contracts.prior import TRAINING

_SHARE_DIGITS = 4


def to_prediction(
    result: FrameResult,
    *,
    request_id: str,
    model_version: str,
    total_ms: float,
    training_shares: Mapping[str, float] | None = None,
) -> Prediction:
    """Return the answer for one image.

    Args:
        result: what the workers found.
        request_id: the caller's.
        model_version: used when there was no face, so that no model was asked.
        total_ms: the gateway's own view.
        training_shares: what the model was calibrated for, if it states that.
    """
    return Prediction(
        request_id=request_id,
        model=ModelRef(name=result.model, version=result.model_version or model_version),
        detector=result.detector,
        image=ImageSize(width=result.width, height=result.height),
        prior=to_prior(result.prior, training_shares),
        faces=[
            _face(found, emotions, result.labels)
            for found, emotions in zip(result.faces, result.emotions, strict=True)
        ],
        timings_ms=_timings(result.timings, total_ms),
    )


def to_prior(mix: ExpectedMix | None, training_shares: Mapping[str, float] | None) -> Prior:
    """Return the public form of the prior that was used, shares rounded; None is that of the training."""
    shares = training_shares if mix is None else mix.shares
    return Prior(
        name=TRAINING if mix is None else mix.name,
        shares=None
        if shares is None
        else {Emotion(label): round(share, _SHARE_DIGITS) for label, share in shares.items()},
    )


def to_detected_face(found: FoundFace) -> DetectedFace:
    """Return the public form of a face without its emotion."""
    return DetectedFace(
        box=_box(found),
        landmarks=_landmarks(found),
        detection_score=found.score,
        quality=_quality(found.quality),
    )


def to_classification(labels: Sequence[str], emotions: FaceEmotions) -> Classification:
    """Return the public form of one face's probabilities."""
    probabilities = {Emotion(label): p for label, p in zip(labels, emotions.probabilities, strict=True)}
    top = max(probabilities, key=probabilities.__getitem__)
    reasons: list[UncertainReason] = []
    if emotions.is_score_low:
        reasons.append("low_score")
    if emotions.is_quality_low:
        reasons.append("low_quality")
    return Classification(
        emotion=top,
        score=probabilities[top],
        uncertain=bool(reasons),
        uncertain_reasons=reasons,
        probabilities=probabilities,
    )


def _face(found: FoundFace, emotions: FaceEmotions, labels: Sequence[str]) -> Face:
    return Face(**dict(to_detected_face(found)), **dict(to_classification(labels, emotions)))


def _timings(timings: Timings, total_ms: float) -> TimingsMs:
    stages_ms = {
        "queue": timings.queue_ms,
        **timings.detector_ms(),
        "infer": timings.infer_ms,
        "total": total_ms,
    }
    return TimingsMs(**{stage: round(ms, 3) for stage, ms in stages_ms.items()})


def _quality(quality: FaceQuality) -> Quality:
    pose = quality.pose
    return Quality(
        size_px=round(quality.size_px, 1),
        blur=round(quality.blur, 3),
        exposure=Exposure(
            brightness=round(quality.brightness, 3),
            contrast=round(quality.contrast, 3),
            clipped=round(quality.clipped, 3),
        ),
        pose=None if pose is None else Pose(yaw=pose.yaw, pitch=pose.pitch, roll=pose.roll),
    )


def _box(found: FoundFace) -> Box:
    x, y, width, height = found.box
    return Box(x=x, y=y, width=width, height=height)


def _landmarks(found: FoundFace) -> Landmarks | None:
    if found.landmarks is None:
        return None
    left_eye, right_eye, nose, mouth_left, mouth_right = (Point(x=x, y=y) for x, y in found.landmarks)
    return Landmarks(
        left_eye=left_eye, right_eye=right_eye, nose=nose, mouth_left=mouth_left, mouth_right=mouth_right
    )

"""What travels in the queue becomes the public bodies."""

import pytest
from msgspec.structs import replace

from fercore.contracts.answers import to_classification, to_detected_face, to_prediction
from fercore.contracts.messages import FaceEmotions, FoundFace, FrameResult, HeadPose, Timings
from tests.support.fakes import QUALITY

LABELS = ("neutral", "happiness")


def result(*, is_low: bool, uncertain: bool) -> FrameResult:
    face = FoundFace(
        box=(1, 2, 30, 40),
        score=0.9,
        landmarks=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10)),
        quality=replace(QUALITY, blur=0.30049, pose=HeadPose(yaw=1, pitch=2, roll=3)),
    )
    return FrameResult(
        width=100,
        height=80,
        detector="haar",
        model="cnn3",
        model_version="1",
        labels=LABELS,
        faces=(face,),
        emotions=(FaceEmotions(probabilities=(0.25, 0.75), is_score_low=uncertain, is_quality_low=is_low),),
        timings=Timings(queue_ms=1, decode_ms=2, detect_ms=3, align_ms=4, infer_ms=5.00049),
    )


def public(answer: FrameResult) -> dict:
    body = to_prediction(answer, request_id="r", model_version="1", total_ms=9)
    return body.model_dump(mode="json")["faces"][0]


@pytest.mark.parametrize(
    ("uncertain", "is_low", "reasons"),
    [
        (False, False, []),
        (True, False, ["low_score"]),
        (False, True, ["low_quality"]),
        (True, True, ["low_score", "low_quality"]),
    ],
)
def test_a_face_is_uncertain_by_its_score_or_its_quality_and_says_which(uncertain, is_low, reasons):
    face = public(result(is_low=is_low, uncertain=uncertain))
    assert face["uncertain_reasons"] == reasons
    assert face["uncertain"] == bool(reasons)


def test_a_face_tells_where_it_is_how_well_it_is_seen_and_what_it_shows():
    assert public(result(is_low=False, uncertain=False)) == {
        "box": {"x": 1, "y": 2, "width": 30, "height": 40},
        "landmarks": {
            "left_eye": {"x": 1, "y": 2},
            "right_eye": {"x": 3, "y": 4},
            "nose": {"x": 5, "y": 6},
            "mouth_left": {"x": 7, "y": 8},
            "mouth_right": {"x": 9, "y": 10},
        },
        "detection_score": 0.9,
        "quality": {
            "size_px": 100,
            "blur": 0.3,
            "exposure": {"brightness": 0.5, "contrast": 0.2, "clipped": 0},
            "pose": {"yaw": 1, "pitch": 2, "roll": 3},
        },
        "emotion": "happiness",
        "score": 0.75,
        "uncertain": False,
        "uncertain_reasons": [],
        "probabilities": {"neutral": 0.25, "happiness": 0.75},
    }


def test_a_face_is_the_detected_face_and_its_classification():
    answer = result(is_low=False, uncertain=True)
    (face,), (emotions,) = answer.faces, answer.emotions
    parts = dict(to_detected_face(face)) | dict(to_classification(LABELS, emotions))
    body = to_prediction(answer, request_id="r", model_version="1", total_ms=9)
    assert dict(body.faces[0]) == parts
    assert list(public(answer))[:4] == ["box", "landmarks", "detection_score", "quality"]


def test_timings_are_by_stage_in_milliseconds_to_three_places():
    body = to_prediction(result(is_low=False, uncertain=False), request_id="r", model_version="1", total_ms=9)
    assert body.model_dump()["timings_ms"] == {
        "queue": 1,
        "decode": 2,
        "detect": 3,
        "align": 4,
        "infer": 5,
        "total": 9,
    }


def test_without_landmarks_there_is_neither_pose_nor_points():
    body = to_detected_face(FoundFace(box=(0, 0, 5, 5), score=1, quality=QUALITY))
    assert body.landmarks is None
    assert body.quality.pose is None

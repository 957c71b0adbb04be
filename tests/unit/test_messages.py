"""Messages survive the queue; what is none of ours is unreadable, never a crash."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fercore.contracts.errors import InternalError, InvalidImage
from fercore.contracts.messages import (
    CROP_BYTES,
    SCHEMA_VERSION,
    DetectOptions,
    ExpectedMix,
    FaceBatch,
    FoundFace,
    FrameJob,
    RemoteError,
    Timings,
    UnreadableMessageError,
    decode_face_batch,
    decode_frame_job,
    decode_reply,
    encode,
    encode_error,
)
from tests.support.fakes import QUALITY

JOB = FrameJob(
    image=b"\xff\xd8",
    model="cnn3",
    options=DetectOptions(detector="haar", max_faces=3, min_face_px=20, min_score=0.5),
)


def batch(n_faces: int, crops: bytes) -> FaceBatch:
    return FaceBatch(
        width=10,
        height=10,
        detector="haar",
        model="cnn3",
        faces=(FoundFace(box=(0, 0, 5, 5), score=1, quality=QUALITY),) * n_faces,
        crops=crops,
        timings=Timings(queue_ms=1, decode_ms=1, detect_ms=1, align_ms=1),
    )


def test_messages_come_back_as_they_went():
    assert decode_frame_job(encode(JOB)) == JOB
    faces = batch(2, bytes(2 * CROP_BYTES))
    assert decode_face_batch(encode(faces)) == faces


def test_a_prior_travels_from_hop_to_hop():
    mix = ExpectedMix(name="custom", shares={"neutral": 0.25, "happiness": 0.75})
    assert decode_frame_job(encode(msgspec.structs.replace(JOB, prior=mix))).prior == mix
    faces = msgspec.structs.replace(batch(1, bytes(CROP_BYTES)), prior=mix)
    assert decode_face_batch(encode(faces)).prior == mix


def test_crops_that_do_not_fit_the_faces_are_unreadable():
    with pytest.raises(UnreadableMessageError, match="crops"):
        decode_face_batch(encode(batch(2, bytes(CROP_BYTES))))


def test_another_schema_version_is_unreadable():
    body = encode(msgspec.structs.replace(JOB, schema_version=SCHEMA_VERSION + 1))
    with pytest.raises(UnreadableMessageError, match=f"version {SCHEMA_VERSION + 1}"):
        decode_frame_job(body)


def test_a_fault_travels_with_its_code_but_an_internal_one_without_its_detail():
    with pytest.raises(RemoteError) as fault:
        decode_reply(encode_error(InvalidImage("cut short")))
    assert (fault.value.code, fault.value.detail) == ("invalid_image", "cut short")
    with pytest.raises(RemoteError) as fault:
        decode_reply(encode_error(InternalError("secret path")))
    assert (fault.value.code, fault.value.detail) == ("internal", InternalError().detail)


@given(st.binary(max_size=200))
def test_junk_is_unreadable(junk):
    for read in (decode_frame_job, decode_face_batch, decode_reply):
        with pytest.raises(UnreadableMessageError):
            read(junk)

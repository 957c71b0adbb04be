"""Faces of several frames share one inference call, and each frame gets its own faces back."""

import asyncio
import itertools

import numpy as np
import pytest
from msgspec.structs import replace

from fercore.contracts.card import FACE_SIZE, QualityBounds
from fercore.contracts.emotions import EMOTIONS
from fercore.contracts.errors import (
    DeadlineExceeded,
    InternalError,
    NotReady,
    UnknownModel,
    UpstreamUnavailable,
)
from fercore.contracts.messages import (
    FaceBatch,
    FaceQuality,
    FoundFace,
    RemoteError,
    Timings,
    decode_reply,
    encode,
)
from fercore.messaging.handler import Dead, Reply
from fercore.messaging.queue import FACES, Envelope, ReceivedMessage
from fercore.service.metrics import Metrics
from services.classifier.core import ClassifierCore
from services.classifier.handler import FaceHandler
from tests.support.consuming import until
from tests.support.fakes import QUALITY, BrightnessBackend, model_folder

pytestmark = pytest.mark.anyio
NUMBERS = itertools.count()


def crops(*emotions: int) -> np.ndarray:
    faces = np.empty((len(emotions), FACE_SIZE, FACE_SIZE, 3), np.uint8)
    faces[:] = np.array(emotions).reshape(-1, 1, 1, 1) * 10
    return faces


def message(
    *emotions: int,
    model: str = "a",
    body: bytes | None = None,
    trace: str = "",
    quality: FaceQuality = QUALITY,
) -> ReceivedMessage:
    batch = FaceBatch(
        width=100,
        height=100,
        detector="haar",
        model=model,
        faces=tuple(FoundFace(box=(n, 0, 5, 5), score=1, quality=quality) for n in range(len(emotions))),
        crops=crops(*emotions).tobytes(),
        timings=Timings(queue_ms=1, decode_ms=2, detect_ms=3, align_ms=4),
    )
    envelope = Envelope(
        f"r{next(NUMBERS)}", "gateway", 5000, encode(batch) if body is None else body, trace, sent_ms=990
    )
    return ReceivedMessage(FACES, f"{next(NUMBERS)}-0", envelope, {}, 1)


def handler(backend: BrightnessBackend) -> FaceHandler:
    core = ClassifierCore([model_folder("a"), model_folder("b")], backend=backend, metrics=Metrics())
    return FaceHandler(core, lambda: 1000.0, infer_timeout_s=5)


def told(outcome: object) -> list[str]:
    assert isinstance(outcome, Reply)
    result = decode_reply(outcome.body)
    return [EMOTIONS[int(np.argmax(face.probabilities))] for face in result.emotions]


async def test_frames_share_one_call_and_get_their_own_faces():
    backend = BrightnessBackend()
    outcomes = await handler(backend)([message(1, 2), message(3), message(7, 0, 4)])
    assert backend.batches == [("emotion_a", 6)]
    assert [told(outcome) for outcome in outcomes] == [
        ["happiness", "surprise"],
        ["sadness"],
        ["contempt", "neutral", "anger"],
    ]


async def test_frames_for_different_models_are_asked_apart():
    backend = BrightnessBackend()
    outcomes = await handler(backend)([message(1, model="a"), message(2, model="b"), message(3, model="a")])
    assert sorted(backend.batches) == [("emotion_a", 2), ("emotion_b", 1)]
    assert [told(outcome) for outcome in outcomes] == [["happiness"], ["surprise"], ["sadness"]]


async def test_timings_add_both_hops():
    (outcome,) = await handler(BrightnessBackend())([message(1)])
    assert isinstance(outcome, Reply)
    timings = decode_reply(outcome.body).timings
    assert timings.infer_ms > 0
    assert replace(timings, infer_ms=0) == Timings(queue_ms=1 + 10, decode_ms=2, detect_ms=3, align_ms=4)


async def test_more_faces_than_a_batch_are_asked_in_parts():
    backend = BrightnessBackend()
    (outcome,) = await handler(backend)([message(*[n % 8 for n in range(150)])])
    assert [size for _, size in backend.batches] == [64, 64, 22]
    assert told(outcome) == [EMOTIONS[n % 8] for n in range(150)]


async def test_an_unreadable_body_is_dead_and_its_neighbours_are_answered():
    outcomes = await handler(BrightnessBackend())([message(1), message(body=b"junk"), message(2)])
    assert isinstance(outcomes[1], Dead)
    assert [told(outcomes[0]), told(outcomes[2])] == [["happiness"], ["surprise"]]


async def test_an_unknown_model_is_a_reply_to_those_who_asked_for_it():
    outcomes = await handler(BrightnessBackend())([message(1), message(2, model="nobody")])
    assert told(outcomes[0]) == ["happiness"]
    assert isinstance(outcomes[1], Reply)
    with pytest.raises(RemoteError) as fault:
        decode_reply(outcomes[1].body)
    assert fault.value.code == "unknown_model"


async def test_a_call_is_logged_with_all_its_requests(told):
    ones = [message(1), message(2)]
    await handler(BrightnessBackend())([*ones, message(3, model="b")])
    lines = told("faces")
    assert sorted(len(line.request_ids) for line in lines) == [1, 2]
    assert [one.envelope.request_id for one in ones] in [line.request_ids for line in lines]


async def test_a_graph_that_fails_is_an_error_of_the_requests_that_asked(told):
    failing = [message(1), message(2)]
    await handler(BrightnessBackend(InternalError("broken")))(failing)
    (line,) = told("a request failed")
    assert (line.level, line.request_ids) == ("ERROR", [one.envelope.request_id for one in failing])
    assert "broken" in line.traceback


async def test_a_server_that_is_away_is_told_with_its_reason_alone(told):
    away = UpstreamUnavailable("Triton is away")
    await handler(BrightnessBackend(away, away))([message(1)])
    (line,) = told("a request failed")
    assert (line.level, line.details["reason"], line.traceback) == ("WARNING", "Triton is away", "")


@pytest.fixture
def classify():
    def make(backend: BrightnessBackend, timeout_s: float = 5):
        core = ClassifierCore([model_folder("a")], backend=backend, metrics=Metrics())
        return core.classify("a", crops(1), timeout_s=timeout_s)

    return make


async def test_an_unavailable_server_is_asked_once_more(classify):
    backend = BrightnessBackend(UpstreamUnavailable("away"))
    assert (await classify(backend)).emotions[0].probabilities[1] > 0.9
    assert len(backend.batches) == 2


async def test_a_server_that_stays_away_is_reported_after_the_second_try(classify):
    backend = BrightnessBackend(UpstreamUnavailable("away"), UpstreamUnavailable("still away"))
    with pytest.raises(UpstreamUnavailable, match="still away"):
        await classify(backend)
    assert len(backend.batches) == 2


async def test_there_is_no_second_try_past_the_deadline(classify):
    with pytest.raises(DeadlineExceeded):
        await classify(BrightnessBackend(UpstreamUnavailable("away")), timeout_s=0.05)


async def test_a_failing_graph_is_not_asked_again(classify):
    backend = BrightnessBackend(InternalError())
    with pytest.raises(InternalError):
        await classify(backend)
    assert len(backend.batches) == 1


async def test_probabilities_follow_the_temperature_and_low_ones_are_uncertain():
    core = ClassifierCore(
        [model_folder("a", uncertain_below=1)], backend=BrightnessBackend(), metrics=Metrics()
    )
    classified = await core.classify("a", crops(5), timeout_s=5)
    (face,) = classified.emotions
    assert sum(face.probabilities) == pytest.approx(1, abs=1e-5)
    assert face.is_score_low
    with pytest.raises(UnknownModel, match="there is: a"):
        await core.classify("b", crops(5), timeout_s=5)


async def test_two_models_judge_the_quality_of_a_face_by_their_own_bounds():
    models = [model_folder("a"), model_folder("b", quality_bounds=QualityBounds(min_size_px=101))]
    core = ClassifierCore(models, backend=BrightnessBackend(), metrics=Metrics())
    handle = FaceHandler(core, lambda: 1000.0, infer_timeout_s=5)
    outcomes = await handle([message(1, model="a"), message(1, model="b")])
    results = [decode_reply(outcome.body) for outcome in outcomes if isinstance(outcome, Reply)]
    assert [[face.is_quality_low for face in result.emotions] for result in results] == [[False], [True]]


async def test_faces_whose_quality_was_not_measured_are_not_low():
    core = ClassifierCore([model_folder("a")], backend=BrightnessBackend(), metrics=Metrics())
    classified = await core.classify("a", crops(5, 1), timeout_s=5)
    assert [face.is_quality_low for face in classified.emotions] == [False, False]


async def test_faces_are_counted_by_model_version_emotion_and_why_they_are_uncertain():
    sure, doubtful, metrics = model_folder("a"), model_folder("b", uncertain_below=1), Metrics()
    core = ClassifierCore([sure, doubtful], backend=BrightnessBackend(), metrics=metrics)
    handle = FaceHandler(core, lambda: 1000.0, infer_timeout_s=5)
    dim = replace(QUALITY, contrast=0.01)
    await handle([message(1, 1), message(3), message(2, 2, quality=dim), message(1, 4, model="b")])
    assert counted(metrics, "fer_predictions_total", "emotion") == {
        ("a", "1", "happiness"): 2,
        ("a", "1", "surprise"): 2,
        ("a", "1", "sadness"): 1,
        ("b", "1", "happiness"): 1,
        ("b", "1", "anger"): 1,
    }
    assert counted(metrics, "fer_uncertain_faces_total", "reason") == {
        ("a", "1", "low_score"): 0,
        ("a", "1", "low_quality"): 2,
        ("b", "1", "low_score"): 2,
        ("b", "1", "low_quality"): 0,
    }


async def test_a_model_that_is_ready_shows_emotions_that_nobody_has_shown_yet():
    metrics = Metrics()
    core = ClassifierCore([model_folder("a")], backend=BrightnessBackend(), metrics=metrics)
    watching = asyncio.create_task(core.watch())
    await until(lambda: core.ready_models)
    watching.cancel()
    assert counted(metrics, "fer_predictions_total", "emotion") == {("a", "1", name): 0 for name in EMOTIONS}
    reasons = counted(metrics, "fer_uncertain_faces_total", "reason")
    assert reasons == {("a", "1", "low_score"): 0, ("a", "1", "low_quality"): 0}


def counted(metrics: Metrics, name: str, label: str) -> dict[tuple[str, str, str], float]:
    """Give a counter by model, version and one label more."""
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {
        (sample.labels["model"], sample.labels["version"], sample.labels[label]): sample.value
        for sample in samples
        if sample.name == name
    }


async def test_a_model_that_the_backend_has_not_loaded_is_not_ready_and_its_folder_not_named(classify):
    with pytest.raises(NotReady) as fault:
        await classify(BrightnessBackend(UnknownModel("emotion_a", ["emotion_b"])))
    assert "emotion_" not in fault.value.detail

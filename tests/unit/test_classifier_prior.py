"""The classifier corrects each frame's faces for the prior of that frame, in one inference call for all."""

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.contracts.messages import (
    ExpectedMix,
    FaceBatch,
    FoundFace,
    FrameResult,
    RemoteError,
    Timings,
    decode_reply,
    encode,
)
from fercore.messaging.handler import Reply
from fercore.messaging.queue import FACES, Envelope, ReceivedMessage
from fercore.service.metrics import Metrics
from services.classifier.core import ClassifierCore
from services.classifier.handler import FaceHandler
from tests.support.fakes import QUALITY, BrightnessBackend, model_folder
from tests.unit.test_classifier import crops

pytestmark = pytest.mark.anyio

TRAINED = dict(zip(EMOTIONS, (0.3, 0.25, 0.15, 0.1, 0.1, 0.04, 0.04, 0.02), strict=True))


class DoubtfulBackend(BrightnessBackend):
    """As its base, but not sure: logits of 1 instead of 10."""

    async def infer(self, model, inputs, outputs, *, timeout_s):
        answer = await super().infer(model, inputs, outputs, timeout_s=timeout_s)
        return {name: values / 10 for name, values in answer.items()}


def handler(backend: BrightnessBackend, *, uncertain_below: float = 0.5) -> FaceHandler:
    models = [
        model_folder("a", training_shares=TRAINED, uncertain_below=uncertain_below),
        model_folder("old"),
    ]
    core = ClassifierCore(models, backend=backend, metrics=Metrics())
    return FaceHandler(core, lambda: 1000.0, infer_timeout_s=5)


def delivery(*emotions: int, prior: ExpectedMix | None, model: str = "a") -> ReceivedMessage:
    batch = FaceBatch(
        width=100,
        height=100,
        detector="haar",
        model=model,
        faces=tuple(FoundFace(box=(n, 0, 5, 5), score=1, quality=QUALITY) for n in range(len(emotions))),
        crops=crops(*emotions).tobytes(),
        timings=Timings(),
        prior=prior,
    )
    return ReceivedMessage(FACES, "1-0", Envelope("r", "gateway", 5000, encode(batch), sent_ms=990), {}, 1)


def mix(**shares: float) -> ExpectedMix:
    return ExpectedMix(name="custom", shares={label: shares.get(label, 0.0) for label in EMOTIONS})


def result(outcome: object) -> FrameResult:
    assert isinstance(outcome, Reply)
    return decode_reply(outcome.body)


async def test_frames_of_different_priors_share_one_call_and_are_each_corrected_for_their_own():
    backend = DoubtfulBackend()
    uniform = ExpectedMix(name="uniform", shares=dict.fromkeys(EMOTIONS, 1 / 8))
    outcomes = await handler(backend)(
        [delivery(3, 0, prior=None), delivery(3, prior=uniform), delivery(3, prior=mix(neutral=1, sadness=1))]
    )
    assert backend.batches == [("emotion_a", 4)]
    trained, equal, two = (result(outcome) for outcome in outcomes)
    calibrated = np.exp(np.eye(8)[3]) / np.exp(np.eye(8)[3]).sum()
    np.testing.assert_allclose(trained.emotions[0].probabilities, calibrated, atol=1e-6)
    corrected = calibrated / np.array(list(TRAINED.values()))
    np.testing.assert_allclose(equal.emotions[0].probabilities, corrected / corrected.sum(), atol=1e-6)
    neutral, sadness = calibrated[0] / 0.3, calibrated[3] / 0.1
    assert two.emotions[0].probabilities[3] == pytest.approx(sadness / (neutral + sadness), abs=1e-6)
    assert [p for label, p in zip(EMOTIONS, two.emotions[0].probabilities, strict=True) if p == 0] == [0] * 6
    assert [one.prior for one in (trained, equal, two)] == [None, uniform, mix(neutral=1, sadness=1)]


async def test_a_face_is_uncertain_by_its_corrected_score():
    frames = [delivery(3, prior=None), delivery(3, prior=mix(sadness=9, neutral=1))]
    outcomes = await handler(DoubtfulBackend(), uncertain_below=0.9)(frames)
    assert [result(outcome).emotions[0].is_score_low for outcome in outcomes] == [True, False]


@pytest.mark.parametrize(
    ("model", "prior", "reason"),
    [
        ("old", mix(neutral=1), r"'old' states no training_shares.*prior=training only; models that can: a"),
        ("a", ExpectedMix(name="custom", shares={"neutral": 1}), "not of the emotions of the model 'a'"),
        ("a", mix(), "not of the emotions of the model 'a'"),
    ],
)
async def test_a_prior_that_a_model_cannot_answer_for_is_refused_and_its_neighbours_are_answered(
    model, prior, reason
):
    outcomes = await handler(BrightnessBackend())(
        [delivery(1, prior=prior, model=model), delivery(2, prior=None, model=model)]
    )
    with pytest.raises(RemoteError, match=reason) as fault:
        result(outcomes[0])
    assert fault.value.code == "invalid_request"
    assert np.argmax(result(outcomes[1]).emotions[0].probabilities) == 2


async def test_models_with_fewer_emotions_are_corrected_among_theirs():
    labels = (Emotion.NEUTRAL, Emotion.HAPPINESS)
    model = model_folder("two", labels=labels, training_shares=dict.fromkeys(labels, 0.5))
    core = ClassifierCore([model], backend=BrightnessBackend(), metrics=Metrics())
    weights = core.weigh("two", ExpectedMix(name="custom", shares={"neutral": 0.9, "happiness": 0.1}))
    np.testing.assert_allclose(np.exp(weights), [1.8, 0.2])

"""What the classifier does with faces: one inference call for many, then calibrated probabilities.

The queue's handler and `POST /classify` call this one core.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fercore.contracts.api import UncertainReason
from fercore.contracts.card import INPUT_NAME, LOGITS_NAME, QualityBounds
from fercore.contracts.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NoTrainingShares,
    NotReady,
    UnknownModel,
    UpstreamUnavailable,
)
from fercore.contracts.messages import ExpectedMix, FaceEmotions, FaceQuality
from fercore.inference.backend import MAX_BATCH, Backend
from fercore.inference.calibration import compute_log_weights, softmax
from fercore.inference.repository import ModelFolder
from fercore.service.metrics import Metrics

LogWeights = npt.NDArray[np.float64]
"""[K], what corrects the probabilities of one face for a prior; see `compute_log_weights`."""

RETRY_AFTER_S = 0.2
"""An unavailable server is asked once more after this time, when time allows."""

READY_EVERY_S = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Classified:
    """The emotions of a batch of faces.

    Attributes:
        model: which model answered, with its labels.
        emotions: one for each face, probabilities in the order of the model's labels.
        infer_ms: the whole call.
    """

    model: ModelFolder
    emotions: tuple[FaceEmotions, ...]
    infer_ms: float


class ClassifierCore:
    """Models by name, and whether the backend can serve them now.

    Args:
        models: what the repository holds.
        backend: what runs them.
        metrics: batches and predictions are counted there.
    """

    def __init__(self, models: Sequence[ModelFolder], *, backend: Backend, metrics: Metrics) -> None:
        self._models = {model.name: model for model in models}
        self._backend = backend
        self._metrics = metrics
        self.ready_models: tuple[ModelFolder, ...] = ()

    def model(self, name: str) -> ModelFolder:
        """Return a model by name; raises `UnknownModel`."""
        try:
            return self._models[name]
        except KeyError:
            raise UnknownModel(name, tuple(self._models)) from None

    def weigh(self, name: str, prior: ExpectedMix | None) -> LogWeights | None:
        """Return what corrects a model's probabilities for a prior; None: nothing has to.

        Raises:
            UnknownModel: there is no such model.
            NoTrainingShares: its card does not state the mix that it was calibrated for.
            InvalidRequest: the prior has not a share for each of its labels, or none above 0.
        """
        card = self.model(name).card
        if prior is None:
            return None
        if card.training_shares is None:
            able = [other.name for other in self._models.values() if other.card.training_shares]
            raise NoTrainingShares(name, able)
        if prior.shares.keys() != set(card.labels) or not max(prior.shares.values()) > 0:
            raise InvalidRequest(
                f"prior: not of the emotions of the model {name!r}: {', '.join(card.labels)}"
            )
        return compute_log_weights(
            [card.training_shares[label] for label in card.labels],
            [prior.shares[label] for label in card.labels],
        )

    async def classify(
        self,
        name: str,
        crops: npt.NDArray[np.uint8],
        *,
        timeout_s: float,
        qualities: Sequence[FaceQuality] | None = None,
        log_weights: Sequence[LogWeights | None] | None = None,
    ) -> Classified:
        """Return calibrated probabilities for faces of one or many frames.

        A face is uncertain for its score when its highest probability, corrected for the prior, is below
        `uncertain_below` of the card.

        Args:
            name: of the model.
            crops: uint8 [n, 112, 112, 3], RGB, canonical framing; n is any number of at least 1.
            timeout_s: bounds the whole call, the second try included.
            qualities: of these faces, judged by the bounds of the model's card; None where none was measured.
            log_weights: of these faces, from `weigh`; None where all are answered as trained.

        Raises:
            UnknownModel: there is no such model.
            NotReady: the backend has not loaded it.
            UpstreamUnavailable: the inference server is away, also at the second try.
            DeadlineExceeded: no answer in time.
            InternalError: the graph failed.
        """
        model = self.model(name)
        with self._metrics.stage("infer") as timer:
            try:
                async with asyncio.timeout(timeout_s):
                    parts = [
                        await self._infer(model, crops[start : start + MAX_BATCH], timeout_s)
                        for start in range(0, len(crops), MAX_BATCH)
                    ]
            except TimeoutError as err:
                raise DeadlineExceeded("the model did not answer in time") from err
        weights = None
        if log_weights is not None:
            unchanged = np.zeros(len(model.card.labels))
            weights = np.stack([unchanged if one is None else one for one in log_weights])
        probabilities = softmax(np.concatenate(parts), model.card.temperature, weights)
        lows = [False] * len(crops)
        if qualities is not None:
            lows = [is_quality_low(quality, model.card.quality_bounds) for quality in qualities]
        emotions = tuple(
            FaceEmotions(
                probabilities=tuple(round(float(p), 6) for p in row),
                is_score_low=bool(row.max() < model.card.uncertain_below),
                is_quality_low=is_low,
            )
            for row, is_low in zip(probabilities, lows, strict=True)
        )
        for top in probabilities.argmax(axis=1):
            self._count_emotion(model, model.card.labels[top], 1)
        self._count_uncertain(model, "low_score", sum(face.is_score_low for face in emotions))
        self._count_uncertain(model, "low_quality", sum(face.is_quality_low for face in emotions))
        return Classified(model, emotions, timer.ms)

    async def watch(self) -> None:
        """Keep `ready_models` up to date until cancelled; logs each change."""
        while True:
            answers = await asyncio.gather(
                *(self._backend.is_ready(model.folder) for model in self._models.values())
            )
            ready = tuple(
                model for model, is_ready in zip(self._models.values(), answers, strict=True) if is_ready
            )
            if ready != self.ready_models:
                self.ready_models = ready
                logger.info("models", extra={"ready": [model.name for model in ready]})
                self._metrics.model_info.clear()
                for model in ready:
                    self._metrics.show_model(model.name, model.card.version, model.card.labels)
            await asyncio.sleep(READY_EVERY_S)

    def _count_emotion(self, model: ModelFolder, emotion: str, faces: int) -> None:
        self._metrics.predictions.labels(model.name, model.card.version, emotion).inc(faces)

    def _count_uncertain(self, model: ModelFolder, reason: UncertainReason, faces: int) -> None:
        self._metrics.uncertain_faces.labels(model.name, model.card.version, reason).inc(faces)

    async def _infer(
        self, model: ModelFolder, crops: npt.NDArray[np.uint8], timeout_s: float
    ) -> npt.NDArray[np.float32]:
        self._metrics.batch_size.observe(len(crops))
        try:
            outputs = await self._ask(model, crops, timeout_s)
        except UpstreamUnavailable:
            await asyncio.sleep(RETRY_AFTER_S)
            outputs = await self._ask(model, crops, timeout_s)
        return outputs

    async def _ask(
        self, model: ModelFolder, crops: npt.NDArray[np.uint8], timeout_s: float
    ) -> npt.NDArray[np.float32]:
        try:
            outputs = await self._backend.infer(
                model.folder, {INPUT_NAME: crops}, [LOGITS_NAME], timeout_s=timeout_s
            )
        except UnknownModel as err:  # the repository has it, the backend has not (yet)
            raise NotReady(f"the model {model.name!r} is not ready") from err
        return np.asarray(outputs[LOGITS_NAME], np.float32)


def is_quality_low(quality: FaceQuality, bounds: QualityBounds) -> bool:
    """Return whether a face is beyond one of a model's bounds."""
    return (
        quality.size_px < bounds.min_size_px
        or quality.blur > bounds.max_blur
        or quality.contrast < bounds.min_contrast
        or quality.clipped > bounds.max_clipped
    )

"""What the classifier does with its messages: the faces of several frames share one inference call.

Nothing waits to fill a batch: what is there goes together.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from fercore.contracts.card import FACE_SIZE
from fercore.contracts.errors import FerError
from fercore.contracts.messages import (
    FaceBatch,
    FaceEmotions,
    FrameResult,
    OtherVersionError,
    Timings,
    UnreadableMessageError,
    decode_face_batch,
    encode,
    encode_error,
    encode_refusal,
)
from fercore.messaging.handler import Dead, Outcome, Reply
from fercore.messaging.queue import Envelope, ReceivedMessage
from fercore.service.errors import log_fault
from fercore.service.logging import request_ids_var
from fercore.service.tracing import OFF, Tracing
from services.classifier.core import Classified, ClassifierCore, LogWeights

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame of a batch, by its place in it.

    Attributes:
        log_weights: what corrects its faces for its prior.
    """

    place: int
    batch: FaceBatch
    log_weights: LogWeights | None
    timings: Timings
    time_left_s: float
    request_id: str
    trace: str


class FaceHandler:
    """Handles `fer:faces`."""

    def __init__(
        self,
        core: ClassifierCore,
        now_ms: Callable[[], float],
        *,
        infer_timeout_s: float,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._core = core
        self._now_ms = now_ms
        self._infer_timeout_s = infer_timeout_s

    async def __call__(self, messages: Sequence[ReceivedMessage]) -> Sequence[Outcome]:
        """Classify the faces of all frames; see `fercore.messaging.handler.Handler`."""
        outcomes: list[Outcome] = [Dead("unreadable envelope")] * len(messages)
        by_model: defaultdict[str, list[_Frame]] = defaultdict(list)
        now_ms = self._now_ms()
        for place, message in enumerate(messages):
            if (envelope := message.envelope) is None:
                continue
            try:
                batch = decode_face_batch(envelope.body)
            except OtherVersionError as err:
                outcomes[place] = _refuse(envelope, err)
                continue
            except UnreadableMessageError as err:
                outcomes[place] = Dead(str(err))
                continue
            try:
                log_weights = self._core.weigh(batch.model, batch.prior)
            except FerError as err:  # of this frame alone: its neighbours are answered
                outcomes[place] = Reply(encode_error(err))
                continue
            queue_ms = batch.timings.queue_ms + max(0.0, now_ms - envelope.sent_ms)
            timings = replace(batch.timings, queue_ms=queue_ms)
            time_left_s = (envelope.deadline_ms - now_ms) / 1000
            by_model[batch.model].append(
                _Frame(place, batch, log_weights, timings, time_left_s, envelope.caller_id, envelope.trace)
            )
        answers = await asyncio.gather(*(self._classify(name, frames) for name, frames in by_model.items()))
        for frames, bodies in zip(by_model.values(), answers, strict=True):
            for frame, body in zip(frames, bodies, strict=True):
                outcomes[frame.place] = Reply(body)
        return outcomes

    async def _classify(self, model: str, frames: Sequence[_Frame]) -> list[bytes]:
        """Ask the model once for all faces of these frames; gives the reply bodies."""
        request_ids_var.set(tuple(frame.request_id for frame in frames))
        crops = np.concatenate([_crops(frame.batch) for frame in frames])
        qualities = [face.quality for frame in frames for face in frame.batch.faces]
        log_weights = None
        if any(frame.log_weights is not None for frame in frames):
            log_weights = [frame.log_weights for frame in frames for _ in frame.batch.faces]
        timeout_s = min(self._infer_timeout_s, max(frame.time_left_s for frame in frames))
        try:
            with self._spans(frames, model):
                classified = await self._core.classify(
                    model, crops, timeout_s=timeout_s, qualities=qualities, log_weights=log_weights
                )
        except FerError as err:
            log_fault(err)
            return [encode_error(err)] * len(frames)
        logger.debug("faces", extra={"faces": len(crops), "duration_ms": round(classified.infer_ms, 2)})
        bodies, start = [], 0
        for frame in frames:
            end = start + len(frame.batch.faces)
            bodies.append(encode(_result(frame, classified, classified.emotions[start:end])))
            start = end
        return bodies

    def _spans(self, frames: Sequence[_Frame], model: str) -> ExitStack:
        """Open a span for each frame in its own trace, and one for the call that all share.

        A span has one parent, so that the call stands in one trace, of those that are kept. It and the other
        frames point to each other by links, as OpenTelemetry advises for batches.
        """
        with ExitStack() as stack:
            spans = [
                stack.enter_context(
                    self._tracing.span(
                        "classify",
                        kind="consumer",
                        parent=frame.trace,
                        request_id=frame.request_id,
                        queue_ms=frame.timings.queue_ms,
                    )
                )
                for frame in frames
            ]
            parent = next((span for span in spans if span.is_kept), spans[0])
            others = [span for span in spans if span is not parent]
            call = stack.enter_context(
                self._tracing.span(
                    "infer",
                    kind="client",
                    parent=parent.traceparent,
                    links=[span.traceparent for span in others],
                    model=model,
                    faces=sum(len(frame.batch.faces) for frame in frames),
                )
            )
            for span in others:
                span.link(call.traceparent)
            return stack.pop_all()


def _refuse(envelope: Envelope, err: OtherVersionError) -> Reply:
    token = request_ids_var.set((envelope.caller_id,))
    log_fault(err.fault)
    request_ids_var.reset(token)
    return Reply(encode_refusal(err))


def _crops(batch: FaceBatch) -> npt.NDArray[np.uint8]:
    return np.frombuffer(batch.crops, np.uint8).reshape(-1, FACE_SIZE, FACE_SIZE, 3)


def _result(frame: _Frame, classified: Classified, emotions: tuple[FaceEmotions, ...]) -> FrameResult:
    batch, card = frame.batch, classified.model.card
    return FrameResult(
        width=batch.width,
        height=batch.height,
        detector=batch.detector,
        model=card.name,
        model_version=card.version,
        labels=card.labels,
        faces=batch.faces,
        emotions=emotions,
        timings=replace(frame.timings, infer_ms=classified.infer_ms),
        prior=batch.prior,
    )

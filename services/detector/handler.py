"""What the detector does with its messages: a frame in, a face batch on or a reply back."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from fercore.contracts.errors import FerError
from fercore.contracts.messages import (
    FaceBatch,
    FrameJob,
    FrameResult,
    OtherVersionError,
    Timings,
    UnreadableMessageError,
    decode_frame_job,
    encode,
    encode_error,
    encode_refusal,
)
from fercore.messaging.handler import Dead, Forward, Outcome, Reply
from fercore.messaging.queue import FACES, ReceivedMessage
from fercore.service.errors import log_fault
from fercore.service.logging import request_id_var
from fercore.service.tracing import OFF, Tracing
from services.detector.core import DetectorCore, FoundFaces

logger = logging.getLogger(__name__)


class FrameHandler:
    """Handles `fer:frames`; several frames are worked on at once, each in a thread of the core."""

    def __init__(self, core: DetectorCore, now_ms: Callable[[], float], tracing: Tracing = OFF) -> None:
        self._core = core
        self._now_ms = now_ms
        self._tracing = tracing

    async def __call__(self, messages: Sequence[ReceivedMessage]) -> Sequence[Outcome]:
        """Analyse each frame; see `fercore.messaging.handler.Handler`."""
        return await asyncio.gather(*(self._handle(message) for message in messages))

    async def _handle(self, message: ReceivedMessage) -> Outcome:
        envelope = message.envelope
        if envelope is None:
            return Dead("unreadable envelope")
        request_id_var.set(envelope.caller_id)
        try:
            job = decode_frame_job(envelope.body)
        except OtherVersionError as err:
            log_fault(err.fault)
            return Reply(encode_refusal(err))
        except UnreadableMessageError as err:
            return Dead(str(err))
        queue_ms = max(0.0, self._now_ms() - envelope.sent_ms)
        try:
            with self._tracing.span(
                "detect",
                kind="consumer",
                parent=envelope.trace,
                request_id=envelope.caller_id,
                queue_ms=queue_ms,
            ) as span:
                found = await self._core.analyze_apart(job.image, job.options)
                stages_ms = found.timings.detector_ms()
                span.note(faces=len(found.faces), **{f"{stage}_ms": ms for stage, ms in stages_ms.items()})
        except FerError as err:
            log_fault(err)
            logger.debug("a frame was refused", extra={"code": err.code})
            return Reply(encode_error(err))
        took_ms = sum(stages_ms.values())
        logger.debug("a frame", extra={"faces": len(found.faces), "duration_ms": round(took_ms, 2)})
        return _onward(job, found, replace(found.timings, queue_ms=queue_ms), span.traceparent)


def _onward(job: FrameJob, found: FoundFaces, timings: Timings, trace: str) -> Outcome:
    if found.faces:
        batch = FaceBatch(
            width=found.width,
            height=found.height,
            detector=job.options.detector,
            model=job.model,
            faces=found.faces,
            crops=found.crops.tobytes(),
            timings=timings,
            prior=job.prior,
        )
        return Forward(FACES, encode(batch), trace)
    result = FrameResult(
        width=found.width,
        height=found.height,
        detector=job.options.detector,
        model=job.model,
        model_version=None,
        labels=(),
        faces=(),
        emotions=(),
        timings=timings,
        prior=job.prior,
    )
    return Reply(encode(result))

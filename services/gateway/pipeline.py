"""The way of a frame as the gateway sees it: publish it, await its one reply.

Knows messages and the queue, neither HTTP nor pixels. REST and WebSocket call the same `analyze`.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from uuid import uuid4

from fercore.contracts.answers import to_prediction
from fercore.contracts.api import Prediction, PredictOptions
from fercore.contracts.errors import DeadlineExceeded, InternalError, UnknownModel, UpstreamUnavailable
from fercore.contracts.messages import (
    DetectOptions,
    ExpectedMix,
    FrameJob,
    ModelOffer,
    OtherVersionError,
    UnreadableMessageError,
    decode_reply,
    encode,
)
from fercore.contracts.prior import AUTO
from fercore.messaging.queue import FRAMES, Envelope, Queue
from fercore.service.metrics import Metrics
from fercore.service.tracing import OFF, Tracing
from services.gateway.directory import Directory
from services.gateway.priors import Priors

REPLY_WAIT_MS = 1000
RECONNECT_S = 0.2
PROBE_WAIT_MS = 1
"""While the queue is lost, a read waits only so long: its answer shows that the queue is back."""

REPLIES = "fer:reply"

Estimate = Callable[[Mapping[str, float]], dict[str, float]]
"""Given the shares that a model was calibrated for, returns those to assume for the next frame."""

logger = logging.getLogger(__name__)


class Pipeline:
    """Publishes frames and hands each reply to the request that waits for it.

    Args:
        queue: moves the messages.
        directory: who lives and what they offer.
        default_detector: when a caller names none.
        default_model: when a caller names none.
        priors: which mix of expressions is assumed.
        metrics: count stage times, and replies that nobody awaits.
        tracing: of this process.
    """

    def __init__(
        self,
        queue: Queue,
        directory: Directory,
        *,
        default_detector: str,
        default_model: str,
        priors: Priors,
        metrics: Metrics,
        tracing: Tracing = OFF,
    ) -> None:
        self._tracing = tracing
        self._queue = queue
        self._directory = directory
        self._default_detector = default_detector
        self._default_model = default_model
        self._priors = priors
        self._metrics = metrics
        metrics.show_replies(REPLIES)
        self._reply_to = uuid4().hex
        self._numbers = itertools.count()
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._fault: str | None = "the queue was not reached yet"

    def check_prior(self, options: PredictOptions) -> None:
        """Refuse a prior that the model cannot answer for, before any frame is sent.

        Raises:
            InvalidRequest: it cannot.
            NotReady: no live worker offers a model.
            UpstreamUnavailable: the queue cannot be reached.
        """
        if options.prior is None:
            return
        try:
            model = self._model(options)
        except UnknownModel:
            return  # it may still be loading; each frame's answer tells
        self._choose_prior(options, model, dict)

    async def analyze(
        self,
        image: bytes,
        options: PredictOptions,
        *,
        request_id: str,
        deadline_s: float,
        estimate: Estimate = dict,
        trace_parent: str | None = None,
        trace_links: Sequence[str] = (),
    ) -> Prediction:
        """Send one encoded image through the cluster.

        Args:
            image: checked by its header.
            options: the caller's.
            request_id: the caller's; it need not be unique.
            deadline_s: from now.
            estimate: asked where the prior is `auto`.
            trace_parent: see `Tracing.span`.
            trace_links: see `Tracing.span`.

        Raises:
            UnknownDetector: no live worker offers it.
            UnknownModel: no live worker offers it.
            InvalidRequest: the model cannot answer for the prior.
            NotReady: no live worker offers any, or one of another version answered.
            UpstreamUnavailable: the queue or the inference server is away.
            DeadlineExceeded: no reply in time.
            FerError: whatever a worker answered.
        """
        with self._tracing.span(
            "frame", kind="producer", parent=trace_parent, links=trace_links, request_id=request_id
        ) as span:
            model = self._model(options)
            job = FrameJob(
                image=image,
                model=model.name,
                options=DetectOptions.of(
                    options, detector=self._directory.detector(options.detector or self._default_detector)
                ),
                prior=self._choose_prior(options, model, estimate),
            )
            answer = await self._analyze(job, model, request_id, deadline_s, span.traceparent)
            span.note(faces=len(answer.faces))
        return answer

    async def _analyze(
        self, job: FrameJob, model: ModelOffer, request_id: str, deadline_s: float, trace: str
    ) -> Prediction:
        start = perf_counter()
        body = await self._ask(encode(job), request_id, deadline_s, trace)
        try:
            result = decode_reply(body)
        except OtherVersionError as err:
            raise err.fault from err
        except UnreadableMessageError as err:
            raise InternalError from err
        total_ms = (perf_counter() - start) * 1000
        self._metrics.stage_duration.labels("queue").observe(result.timings.queue_ms / 1000)
        self._metrics.stage_duration.labels("total").observe(total_ms / 1000)
        return to_prediction(
            result,
            request_id=request_id,
            model_version=model.version,
            total_ms=total_ms,
            training_shares=model.training_shares,
        )

    def _model(self, options: PredictOptions) -> ModelOffer:
        return self._directory.model(options.model or self._default_model)

    def _choose_prior(
        self, options: PredictOptions, model: ModelOffer, estimate: Estimate
    ) -> ExpectedMix | None:
        if options.prior == AUTO:
            return ExpectedMix(name=AUTO, shares=estimate(self._priors.find_training_shares(model)))
        return self._priors.choose(options.prior, model)

    async def receive_replies(self) -> None:
        """Hand out replies until cancelled; when the queue is lost, every waiting request fails at once."""
        while True:
            wait_ms = REPLY_WAIT_MS if self._fault is None else PROBE_WAIT_MS
            try:
                envelopes = await self._queue.receive_replies(self._reply_to, wait_ms=wait_ms)
            except UpstreamUnavailable as err:
                self._fail_all(err)
                await asyncio.sleep(RECONNECT_S)
                continue
            self._fault = None
            for envelope in envelopes:
                waiting = self._waiting.get(envelope.request_id)
                if waiting is None or waiting.done():
                    self._metrics.messages_ended(REPLIES, "unawaited", 1)
                else:
                    waiting.set_result(envelope.body)

    async def check(self) -> str | None:
        """Return why no reply can come, or None."""
        return self._fault

    async def _ask(self, body: bytes, request_id: str, deadline_s: float, trace: str) -> bytes:
        if self._fault is not None:
            raise UpstreamUnavailable(self._fault)
        key = f"{request_id}/{next(self._numbers)}"
        # the waiter stands before the request is sent, so that no reply can be missed
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        envelope = Envelope(
            request_id=key,
            reply_to=self._reply_to,
            deadline_ms=self._queue.now_ms() + deadline_s * 1000,
            body=body,
            trace=trace,
        )
        try:
            async with asyncio.timeout(deadline_s):
                await self._queue.publish(FRAMES, envelope)
                return await waiting
        except TimeoutError as err:
            raise DeadlineExceeded(f"no answer in {deadline_s:g} s") from err
        finally:
            del self._waiting[key]
            waiting.cancel()  # else asyncio logs an exception that was never retrieved

    def _fail_all(self, error: UpstreamUnavailable) -> None:
        """Fail all waiting requests and log them; `watch_redis` logs that a Redis is away."""
        self._fault = error.detail
        failed = {key: waiting for key, waiting in self._waiting.items() if not waiting.done()}
        for waiting in failed.values():
            waiting.set_exception(UpstreamUnavailable(error.detail))
        if failed:
            request_ids = [key.partition("/")[0] for key in failed]
            logger.warning("the queue was lost", extra={"request_ids": request_ids, "reason": error.detail})

"""One live stream: reads its messages, sends each frame through the pipeline, answers each exactly once.

Knows WebSocket messages and the pipeline, neither the queue nor pixels.
"""

import asyncio
import logging
from time import monotonic
from typing import get_args

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from fercore.contracts.api import Prediction
from fercore.contracts.errors import (
    DeadlineExceeded,
    FerError,
    InvalidRequest,
    NotReady,
    UnknownDetector,
    UnknownModel,
    UpstreamUnavailable,
)
from fercore.contracts.live import (
    CLIENT_MESSAGE,
    Dropped,
    Started,
    Stop,
    StreamOptions,
    StreamResult,
    StreamStats,
)
from fercore.contracts.prior import AUTO
from fercore.service.errors import describe, is_ours, log_fault
from fercore.service.intake import Intake
from fercore.service.logging import request_id_var
from fercore.service.metrics import Metrics, StreamOutcome
from fercore.service.websockets import SERVICE_RESTART
from services.gateway.directory import Directory
from services.gateway.live.connection import DONE, DRAIN, IDLE, INTERNAL, TOO_SLOW, Close, Connection, TooSlow
from services.gateway.live.follower import FaceFollower
from services.gateway.live.mix import SessionMix
from services.gateway.live.observer import Observation, ObservedFace, StreamObserver
from services.gateway.live.settings import LiveSettings
from services.gateway.live.window import Frame, FrameWindow, WaitForTurn
from services.gateway.pipeline import Pipeline

MAX_TEXT_CHARS = 16_384

logger = logging.getLogger(__name__)


class LiveStream:
    """One WebSocket, already accepted.

    Args:
        socket: the client.
        stream_id: of the logs and of the request ids of all frames; not the id of a recording.
        pipeline: analyses a frame.
        directory: who lives and what they offer.
        intake: checks and admits a frame.
        observer: of this stream alone.
        settings: how long what may take.
        metrics: of this process.
    """

    def __init__(
        self,
        socket: WebSocket,
        stream_id: str,
        *,
        pipeline: Pipeline,
        directory: Directory,
        intake: Intake,
        observer: StreamObserver,
        settings: LiveSettings,
        metrics: Metrics,
    ) -> None:
        self._socket = socket
        self._id = stream_id
        self._connection = Connection(socket, stream_id, send_timeout_s=settings.live_send_timeout_s)
        self._pipeline = pipeline
        self._directory = directory
        self._intake = intake
        self._observer = observer
        self._settings = settings
        self._metrics = metrics
        self._options: StreamOptions | None = None
        self._follower = FaceFollower(1)
        self._mix = SessionMix()
        self._received = 0
        self._answered: dict[str, int] = dict.fromkeys(get_args(StreamOutcome), 0)
        self._window = FrameWindow(self._serve, lambda: self._count("dropped"))

    async def run(self) -> None:
        """Serve until one side ends it; leaves nothing behind."""
        start_s = monotonic()
        closing: Close | None = None
        try:
            closing = await self._converse()
            if closing is not None:
                await self._connection.close(closing, self._stats())
        finally:
            await self._observer.end()
            logger.info(
                "a stream ended",
                extra={
                    "close_code": closing.code if closing is not None else None,
                    "received": self._received,
                    **self._answered,
                    "duration_ms": round((monotonic() - start_s) * 1000),
                },
            )

    async def refuse(self, fault: FerError, closing: Close) -> None:
        """Answer that the stream cannot be served, and close it."""
        try:
            await self._connection.send_error(fault, None)
            await self._connection.close(closing, self._stats())
        except (TooSlow, WebSocketDisconnect):
            return
        finally:
            await self._observer.end()

    async def _converse(self) -> Close | None:
        """Read and answer; None when the client is gone."""
        closing: Close | None = None
        try:
            async with self._window:
                closing = await self._read()
        except* WebSocketDisconnect:
            closing = None
        except* TooSlow:
            closing = TOO_SLOW
        except* Exception:  # the top handler of a WebSocket
            logger.exception("a stream failed")
            closing = INTERNAL
        return closing

    async def _read(self) -> Close:
        while True:
            try:
                async with asyncio.timeout(self._settings.live_idle_s):
                    message = await self._socket.receive()
            except TimeoutError:
                return IDLE
            if message["type"] == "websocket.disconnect":
                if message["code"] == SERVICE_RESTART:
                    return DRAIN
                raise WebSocketDisconnect(message["code"])
            if (image := message.get("bytes")) is not None:
                await self._take_frame(image)
            elif (closing := await self._take_text(message["text"])) is not None:
                return closing
            await asyncio.sleep(0)  # a flood of small messages must not hold up the other streams

    async def _take_text(self, text: str) -> Close | None:
        """Handle a text message; returns how to close if it ends the stream."""
        if len(text) > MAX_TEXT_CHARS:
            fault = InvalidRequest(f"a text message has at most {MAX_TEXT_CHARS} characters")
            return await self._end_by(fault, 1009)
        try:
            message = CLIENT_MESSAGE.validate_json(text)
        except ValidationError as err:
            faults = err.errors(include_url=False, include_input=False, include_context=False)
            is_known = any(fault["loc"] for fault in faults)  # else it is no JSON, or no message of ours
            return await self._end_by(InvalidRequest(describe(faults)), 1008 if is_known else 1003)
        return DONE if isinstance(message, Stop) else await self._handle_start(message)

    async def _handle_start(self, message: StreamOptions) -> Close | None:
        if self._options is not None or self._received:
            return await self._end_by(InvalidRequest("`start` must be the first message"), 1008)
        try:
            self._check_names(message)
            session_id = await self._begin(message)
        except (UnknownModel, UnknownDetector, InvalidRequest) as err:
            return await self._end_by(err, 1008)
        except FerError as err:
            return await self._end_by(err, 1013)
        await self._connection.send(Started(session_id=session_id))
        return None

    async def _end_by(self, fault: FerError, code: int) -> Close:
        await self._connection.send_error(fault, None)
        return Close(code, fault.code)

    def _check_names(self, options: StreamOptions) -> None:
        """Refuse a name that no worker offers, and a prior that the model cannot answer for.

        While no worker offers any, or not the default model, the frames' errors say so.
        """
        try:
            if options.model is not None:
                self._directory.model(options.model)
            if options.detector is not None:
                self._directory.detector(options.detector)
            self._pipeline.check_prior(options)
        except (NotReady, UpstreamUnavailable):
            return

    async def _begin(self, options: StreamOptions) -> str | None:
        session_id = await self._observer.begin(options)
        self._options = options
        self._follower = FaceFollower(options.smoothing)
        return session_id

    async def _take_frame(self, image: bytes) -> None:
        seq = self._received
        self._received += 1
        try:
            if self._options is None:
                await self._begin(StreamOptions())
            permit = self._intake.admit(image)
        except FerError as err:
            self._count(_outcome_of(err))
            await self._connection.send_error(err, seq)
            return
        superseded = self._window.add(Frame(seq, image, f"{self._id}-{seq}", monotonic(), permit))
        if superseded is not None:
            await self._connection.send(Dropped(seq=superseded.seq))

    async def _serve(self, frame: Frame, wait_for_turn: WaitForTurn) -> None:
        """Analyse a frame, and answer it after the frame before it."""
        request_id_var.set(frame.request_id)
        details: dict[str, object] = {}
        outcome: StreamOutcome = "dropped"  # unless it gets so far
        try:
            with frame.permit:
                answer = await self._analyze(frame)
            await wait_for_turn()
            if isinstance(answer, FerError):
                outcome, details["code"] = _outcome_of(answer), answer.code
                await self._connection.send_error(answer, frame.seq)
            else:
                outcome = "result"
                await self._send_result(answer, frame)
        finally:
            self._count(outcome)
            duration_ms = round((monotonic() - frame.received_at_s) * 1000, 2)
            logger.debug("live frame", extra=details | {"outcome": outcome, "duration_ms": duration_ms})

    async def _analyze(self, frame: Frame) -> Prediction | FerError:
        left_s = frame.received_at_s + self._settings.live_deadline_s - monotonic()
        try:
            if left_s <= 0:
                raise DeadlineExceeded("the frame waited too long for those before it")
            return await self._pipeline.analyze(
                frame.image,
                self._options or StreamOptions(),
                request_id=frame.request_id,
                deadline_s=left_s,
                estimate=self._mix.assume,
                trace_parent="",  # each frame has a trace of its own: no viewer shows one of an hour's frames
                trace_links=[self._socket.headers.get("traceparent", "")],
            )
        except FerError as err:
            if err.code == "internal":  # transient errors are not logged per frame
                log_fault(err)
            return err

    async def _send_result(self, prediction: Prediction, frame: Frame) -> None:
        if prediction.prior.name == AUTO:
            self._mix.see(prediction.faces, frame.received_at_s)
        faces = self._follower.follow(prediction.faces, frame.received_at_s)
        await self._connection.send(StreamResult(**(dict(prediction) | {"seq": frame.seq, "faces": faces})))
        observation = Observation(
            frame.received_at_s,
            tuple(ObservedFace(face.face_id, face.smoothed.emotion, face.probabilities) for face in faces),
        )
        for alert in self._observer.observe(observation):
            await self._connection.send(alert)

    def _stats(self) -> StreamStats:
        return StreamStats(
            received=self._received,
            results=self._answered["result"],
            dropped=self._answered["dropped"],
            errors=self._answered["refused"] + self._answered["failed"],
        )

    def _count(self, outcome: StreamOutcome) -> None:
        self._answered[outcome] += 1
        self._metrics.stream_frames.labels(outcome).inc()


def _outcome_of(fault: FerError) -> StreamOutcome:
    return "failed" if is_ours(fault) else "refused"

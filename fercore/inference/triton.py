"""Run graphs on a Triton server over gRPC.

Which models there are only the server knows: it reads the repository itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from fercore.contracts.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    UnknownModel,
    UpstreamUnavailable,
)
from fercore.inference.backend import MAX_BATCH, Tensor

_CHANNEL_ARGS = [
    # the client's own defaults are replaced, not extended; features of 64 faces exceed gRPC's 4 MB
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # a server that was restarted is found again within about a second, at a new address too
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 500),
    # one that vanished without closing its connection is noticed while calls wait for it
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    # backends do not share a connection, so one's back-off is not another's
    ("grpc.use_local_subchannel_pool", 1),
]


class TritonBackend:
    """A `Backend` that asks a Triton server; it connects when first asked, inside the running loop.

    Args:
        address: `host:port` of the server's gRPC endpoint.
        ready_timeout_s: longest wait of `is_ready`.
        traceparent: gives the W3C Trace Context of the running call, which the server is handed; or nothing.
    """

    def __init__(
        self, address: str, *, ready_timeout_s: float = 1.0, traceparent: Callable[[], str] = lambda: ""
    ) -> None:
        self._address = address
        self._traceparent = traceparent
        self._ready_timeout_s = ready_timeout_s
        self._connected: triton.InferenceServerClient | None = None
        self._is_closed = False
        self._seen: set[str] = set()

    async def infer(
        self, model: str, inputs: Mapping[str, Tensor], outputs: Sequence[str], *, timeout_s: float
    ) -> dict[str, Tensor]:
        """Run `model` once on the server; see `Backend.infer`."""
        client = self._client()
        trace = self._traceparent()
        try:
            result = await client.infer(
                model,
                [_infer_input(name, tensor) for name, tensor in inputs.items()],
                outputs=[triton.InferRequestedOutput(name) for name in outputs],
                client_timeout=timeout_s,
                headers={"traceparent": trace} if trace else None,
            )
        except InferenceServerException as err:
            self._raise_fault(err, model, timeout_s)
        self._seen.add(model)
        values = {name: result.as_numpy(name) for name in outputs}
        if any(value is None for value in values.values()):
            raise InternalError
        return values

    async def is_ready(self, model: str) -> bool:
        """Ask the server whether `model` is loaded; see `Backend.is_ready`."""
        if self._is_closed:
            return False
        try:
            is_ready = await self._client().is_model_ready(model, client_timeout=self._ready_timeout_s)
        except InferenceServerException:
            return False
        if is_ready:
            self._seen.add(model)
        return bool(is_ready)

    async def close(self) -> None:
        """Close the connection. A second call does nothing."""
        self._is_closed = True
        if self._connected is not None:
            await self._connected.close()
            self._connected = None

    def _client(self) -> triton.InferenceServerClient:
        if self._is_closed:
            raise UpstreamUnavailable("inference has been shut down")
        if self._connected is None:
            self._connected = triton.InferenceServerClient(self._address, channel_args=_CHANNEL_ARGS)
        return self._connected

    def _raise_fault(self, err: InferenceServerException, model: str, timeout_s: float) -> NoReturn:
        match err.status():
            case "StatusCode.UNAVAILABLE":
                raise UpstreamUnavailable("the inference server cannot be reached") from err
            case "StatusCode.CANCELLED":  # by the server: a call that we cancel ends otherwise
                raise UpstreamUnavailable("the inference server is going down") from err
            case "StatusCode.NOT_FOUND":
                if model in self._seen:  # a server that is going down has let go of its models already
                    raise UpstreamUnavailable("the inference server is going down") from err
                raise UnknownModel(model, tuple(self._seen)) from err
            case "StatusCode.INVALID_ARGUMENT":
                raise InvalidRequest("the tensors do not fit the model") from err
            case "StatusCode.DEADLINE_EXCEEDED":
                raise DeadlineExceeded(f"inference took longer than {timeout_s:.3f} s") from err
            case _ if _is_stub_dead(err):
                raise UpstreamUnavailable("the inference server is being restarted") from err
            case _:
                raise InternalError from err


def _is_stub_dead(err: InferenceServerException) -> bool:
    """Return whether the server's worker process died, and the server ends soon; else a graph failed."""
    message = str(err.message())
    return message.startswith("Stub process") and message.endswith("is not healthy.")


def _infer_input(name: str, tensor: Tensor) -> triton.InferInput:
    dtype = np_to_triton_dtype(tensor.dtype)
    if dtype is None or tensor.ndim == 0 or not 1 <= len(tensor) <= MAX_BATCH:
        raise InvalidRequest(
            f"{name} must be a tensor of 1 to {MAX_BATCH} rows, not {tensor.dtype} {list(tensor.shape)}"
        )
    entry = triton.InferInput(name, list(tensor.shape), dtype)
    entry.set_data_from_numpy(tensor)
    return entry

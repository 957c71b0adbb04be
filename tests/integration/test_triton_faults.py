"""What a caller hears of each gRPC status that a Triton server may answer with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest

from fercore.contracts.errors import (
    DeadlineExceeded,
    FerError,
    InternalError,
    InvalidRequest,
    UnknownModel,
    UpstreamUnavailable,
)
from fercore.inference.triton import TritonBackend
from tests.support.grpc_server import serving

pytestmark = pytest.mark.usefixtures("one_loop")


class Failing(grpc.GenericRpcHandler):
    """A server that ends every call with one status."""

    def __init__(self, status: grpc.StatusCode, message: str) -> None:
        self._status, self._message = status, message

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def fail(_request: bytes, context: grpc.aio.ServicerContext) -> None:
            await context.abort(self._status, self._message)

        return grpc.unary_unary_rpc_method_handler(fail)


@asynccontextmanager
async def backend_of(status: grpc.StatusCode, message: str) -> AsyncIterator[TritonBackend]:
    async with serving(Failing(status, message)) as address:
        backend = TritonBackend(address)
        try:
            yield backend
        finally:
            await backend.close()


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        (grpc.StatusCode.UNAVAILABLE, "", UpstreamUnavailable),
        (grpc.StatusCode.CANCELLED, "CANCELLED", UpstreamUnavailable),
        (grpc.StatusCode.INTERNAL, "Stub process 'emotion_tiny_0' is not healthy.", UpstreamUnavailable),
        (grpc.StatusCode.INTERNAL, "the graph failed", InternalError),
        (grpc.StatusCode.NOT_FOUND, "", UnknownModel),
        (grpc.StatusCode.INVALID_ARGUMENT, "", InvalidRequest),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", DeadlineExceeded),
    ],
)
async def test_each_status_has_its_fault(status: grpc.StatusCode, message: str, fault: type[FerError]):
    async with backend_of(status, message) as backend:
        with pytest.raises(FerError) as told:
            await backend.infer("emotion_tiny", {"face": np.zeros((1, 2), np.uint8)}, ["logits"], timeout_s=5)
    assert type(told.value) is fault

"""What every inference backend must do, run against ONNX Runtime in process and a real Triton."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.errors import DeadlineExceeded, InvalidRequest, UnknownModel, UpstreamUnavailable
from fercore.inference.backend import MAX_BATCH, Backend, Tensor
from fercore.inference.onnxruntime import OnnxRuntimeBackend
from fercore.inference.repository import scan_repository
from fercore.inference.triton import TritonBackend
from tests.support.triton_server import TritonServer

pytestmark = pytest.mark.usefixtures("one_loop")

TIMEOUT_S = 30.0
BLACK = np.zeros((1, 112, 112, 3), np.uint8)
WHITE = np.full((1, 112, 112, 3), 255, np.uint8)


@pytest.fixture(params=["onnxruntime", "triton"])
def make_backend(request: pytest.FixtureRequest, model_folders: Path) -> Callable[[], Backend]:
    if request.param == "onnxruntime":
        return lambda: OnnxRuntimeBackend(model_folders, threads=2)
    server: TritonServer = request.getfixturevalue("triton_server")
    return lambda: TritonBackend(server.address)


@pytest.fixture
async def backend(make_backend: Callable[[], Backend]) -> AsyncIterator[Backend]:
    backend = make_backend()
    yield backend
    await backend.close()


def faces(rows: int, first: int = 0) -> tuple[Tensor, Tensor]:
    """Give crops of one colour each, and the logits that `emotion_tiny` must give for them."""
    colours = np.array([[(first + i) % 256, (7 * i) % 256, (3 * i) % 256] for i in range(rows)])
    crops = np.broadcast_to(colours[:, None, None, :], (rows, 112, 112, 3)).astype(np.uint8)
    return crops, np.outer(colours @ [1, 1, -1], np.arange(8) / 8)


@pytest.mark.parametrize("rows", [1, 7, MAX_BATCH])
async def test_each_row_gets_its_own_logits_in_order(backend: Backend, rows: int) -> None:
    crops, logits = faces(rows)
    values = await backend.infer("emotion_tiny", {"face": crops}, ["logits"], timeout_s=TIMEOUT_S)
    assert values.keys() == {"logits"}
    assert values["logits"].dtype == np.float32
    np.testing.assert_allclose(values["logits"], logits, rtol=1e-4, atol=1e-3)


async def test_every_wanted_output_comes(backend: Backend) -> None:
    crops, _ = faces(3)
    values = await backend.infer("emotion_tiny", {"face": crops}, ["features", "logits"], timeout_s=TIMEOUT_S)
    assert values.keys() == {"features", "logits"}
    assert values["features"].shape == (3, 3, 4, 4)
    np.testing.assert_allclose(values["features"][:, :, 2, 2], crops[:, 0, 0, :], rtol=1e-4)


async def test_requests_at_once_do_not_mix(backend: Backend) -> None:
    async def ask(i: int) -> None:
        crops, logits = faces(1 + i % 5, first=i)
        names = ["logits", "features"] if i % 3 == 0 else ["logits"]
        values = await backend.infer("emotion_tiny", {"face": crops}, names, timeout_s=TIMEOUT_S)
        assert values.keys() == set(names)
        np.testing.assert_allclose(values["logits"], logits, rtol=1e-4, atol=1e-3)

    await asyncio.gather(*(ask(i) for i in range(60)))


@pytest.mark.parametrize("model", ["emotion_nowhere", "../emotion_tiny", ""])
async def test_a_model_that_is_not_there_is_unknown(backend: Backend, model: str) -> None:
    with pytest.raises(UnknownModel):
        await backend.infer(model, {"face": BLACK}, ["logits"], timeout_s=TIMEOUT_S)
    assert not await backend.is_ready(model)


async def test_a_model_that_does_not_load_is_unknown_and_harms_no_other(backend: Backend) -> None:
    with pytest.raises(UnknownModel):
        await backend.infer("emotion_broken", {"face": BLACK}, ["logits"], timeout_s=TIMEOUT_S)
    assert not await backend.is_ready("emotion_broken")
    assert await backend.is_ready("emotion_tiny")


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        pytest.param({"face": BLACK[:, :48, :48]}, ["logits"], id="wrong size"),
        pytest.param({"face": BLACK[0]}, ["logits"], id="no batch axis"),
        pytest.param({"face": BLACK.astype(np.float32)}, ["logits"], id="wrong type"),
        pytest.param({"picture": BLACK}, ["logits"], id="wrong input"),
        pytest.param({"face": BLACK}, ["emotions"], id="wrong output"),
        pytest.param({"face": BLACK, "more": BLACK}, ["logits"], id="an input too many"),
        pytest.param({"face": BLACK[:0]}, ["logits"], id="no rows"),
        pytest.param({"face": np.repeat(BLACK, MAX_BATCH + 1, 0)}, ["logits"], id="too many rows"),
    ],
)
async def test_what_does_not_fit_the_graph_is_an_invalid_request(
    backend: Backend, inputs: dict[str, Tensor], outputs: list[str]
) -> None:
    with pytest.raises(InvalidRequest):
        await backend.infer("emotion_tiny", inputs, outputs, timeout_s=TIMEOUT_S)


async def test_a_slow_model_is_given_up_in_time_and_the_next_request_is_served(backend: Backend) -> None:
    await backend.infer("emotion_slow", {"face": BLACK}, ["logits"], timeout_s=TIMEOUT_S)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await backend.infer("emotion_slow", {"face": WHITE}, ["logits"], timeout_s=0.1)
    assert time.monotonic() - started < 0.6
    await backend.infer("emotion_tiny", {"face": BLACK}, ["logits"], timeout_s=TIMEOUT_S)


async def test_a_request_may_be_cancelled(backend: Backend) -> None:
    task = asyncio.create_task(
        backend.infer("emotion_slow", {"face": WHITE}, ["logits"], timeout_s=TIMEOUT_S)
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0.1)
    await backend.infer("emotion_tiny", {"face": BLACK}, ["logits"], timeout_s=TIMEOUT_S)


async def test_a_closed_backend_answers_no_more(make_backend: Callable[[], Backend]) -> None:
    backend = make_backend()
    assert await backend.is_ready("emotion_tiny")
    await backend.close()
    await backend.close()
    assert not await backend.is_ready("emotion_tiny")
    with pytest.raises(UpstreamUnavailable):
        await backend.infer("emotion_tiny", {"face": BLACK}, ["logits"], timeout_s=TIMEOUT_S)


async def test_the_real_models_answer_alike_on_both(model_folders: Path, triton_server: TritonServer) -> None:
    """The same crops give the same logits, whichever runtime a site chooses."""
    crops = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), np.uint8)
    in_process, server = OnnxRuntimeBackend(model_folders, threads=1), TritonBackend(triton_server.address)
    for model in scan_repository(model_folders).models:
        outputs = ["logits", "features"] if model.card.features_output else ["logits"]
        here, there = [
            await backend.infer(model.folder, {"face": crops}, outputs, timeout_s=TIMEOUT_S)
            for backend in (in_process, server)
        ]
        assert here["logits"].shape == (5, len(model.card.labels))
        for name in outputs:
            np.testing.assert_allclose(here[name], there[name], rtol=1e-3, atol=1e-3)
    await in_process.close()
    await server.close()

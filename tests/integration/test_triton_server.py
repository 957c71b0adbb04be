"""The Triton that `deploy/triton` makes: batching, going down and coming back, repairing what is dead."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from fercore.contracts.errors import DeadlineExceeded, FerError, InternalError, UpstreamUnavailable
from fercore.inference.triton import TritonBackend
from tests.support.listening import addresses
from tests.support.triton_server import ROOT, TritonServer

pytestmark = pytest.mark.usefixtures("one_loop")

BLACK = np.zeros((1, 112, 112, 3), np.uint8)
WHITE = np.full((1, 112, 112, 3), 255, np.uint8)


@pytest.fixture
async def backend(triton_server: TritonServer) -> AsyncIterator[TritonBackend]:
    backend = TritonBackend(triton_server.address)
    yield backend
    await backend.close()


@pytest.fixture
def own_server(triton_server: TritonServer, model_folders: Path, tmp_path: Path) -> Iterator[TritonServer]:
    """A server that a test may break."""
    server = TritonServer(model_folders, tmp_path / "log", check_s=0.2)
    server.start()
    yield server
    server.stop()


async def ask(backend: TritonBackend, *, timeout_s: float = 10) -> None:
    values = await backend.infer("emotion_tiny", {"face": BLACK}, ["logits"], timeout_s=timeout_s)
    assert values["logits"].shape == (1, 8)


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float) -> float:
    """Poll until the condition holds; give the time it took."""
    started = time.monotonic()
    while not await condition():
        assert time.monotonic() - started < timeout_s, "it did not come true in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


async def test_requests_that_wait_run_as_one_batch(
    backend: TritonBackend, triton_server: TritonServer
) -> None:
    def runs() -> float:
        return triton_server.metric("nv_inference_exec_count", "emotion_slow")

    await backend.infer("emotion_slow", {"face": BLACK}, ["logits"], timeout_s=30)
    before = runs()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(backend.infer("emotion_slow", {"face": WHITE}, ["logits"], timeout_s=30))
        await asyncio.sleep(0.2)
        for _ in range(8):
            tasks.create_task(backend.infer("emotion_slow", {"face": BLACK}, ["logits"], timeout_s=30))
    assert runs() - before <= 4  # the slow one, the eight in one, and the server's own checks


async def test_a_server_that_went_away_is_told_at_once_and_found_again(
    backend: TritonBackend, triton_server: TritonServer
) -> None:
    await ask(backend)
    assert await asyncio.to_thread(triton_server.stop) == 0
    started = time.monotonic()
    with pytest.raises(UpstreamUnavailable):
        await ask(backend)
    assert time.monotonic() - started < 1.5
    assert not await backend.is_ready("emotion_tiny")

    await asyncio.to_thread(triton_server.start)

    async def is_found() -> bool:
        return await backend.is_ready("emotion_tiny")

    assert await until(is_found, timeout_s=3) < 3
    await ask(backend)


async def test_a_server_that_goes_down_does_not_forget_its_models(own_server: TritonServer) -> None:
    """It lets go of its models before it stops listening; a caller must hear 503 then, not 404."""
    backend = TritonBackend(own_server.address)
    await ask(backend)
    stopping = asyncio.create_task(asyncio.to_thread(own_server.stop))
    faults = set()
    while not stopping.done():
        try:
            await ask(backend)
        except FerError as err:
            faults.add((type(err), str(err.__cause__) if isinstance(err, InternalError) else ""))
        await asyncio.sleep(0.01)
    assert await stopping == 0
    assert faults == {(UpstreamUnavailable, "")}
    await backend.close()


async def test_a_backend_made_before_its_server_finds_it(
    model_folders: Path, triton_server: TritonServer, tmp_path: Path
) -> None:
    server = TritonServer(model_folders, tmp_path / "log")
    backend = TritonBackend(server.address)
    with pytest.raises(UpstreamUnavailable):
        await ask(backend)
    await asyncio.to_thread(server.start)

    async def is_found() -> bool:
        return await backend.is_ready("emotion_tiny")

    await until(is_found, timeout_s=3)
    await backend.close()
    server.stop()


async def test_a_server_that_is_ready_but_dead_ends_so_that_it_is_restarted(own_server: TritonServer) -> None:
    backend = TritonBackend(own_server.address)
    await ask(backend)

    async def is_checked() -> bool:
        return "emotion_tiny answers" in own_server.log()

    await until(is_checked, timeout_s=20)
    [stub] = own_server.stub_pids("emotion_tiny")
    os.kill(stub, signal.SIGKILL)
    with pytest.raises((DeadlineExceeded, InternalError, UpstreamUnavailable)):
        await ask(backend, timeout_s=1)
    process = own_server.process
    assert process is not None
    assert await asyncio.to_thread(process.wait, 60) == 1
    assert "no answer from emotion_tiny" in own_server.log()
    assert not shared_memory(process.pid)
    await backend.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_at_once_and_leaves_nothing(own_server: TritonServer, how: signal.Signals) -> None:
    process = own_server.process
    assert process is not None
    stubs = own_server.stub_pids()
    assert len(stubs) >= 2
    assert shared_memory(process.pid)
    started = time.monotonic()
    process.send_signal(how)
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert time.monotonic() - started < 8
    assert not any(is_running(stub) for stub in stubs)
    assert not shared_memory(process.pid)


async def test_a_killed_launcher_takes_the_server_with_it_and_the_next_one_sweeps(
    own_server: TritonServer,
) -> None:
    process = own_server.process
    assert process is not None
    stubs = own_server.stub_pids()
    assert len(stubs) >= 2
    process.kill()
    await asyncio.to_thread(process.wait)
    await asyncio.to_thread(own_server.start)  # on the same ports: the old server is gone
    assert not any(is_running(stub) for stub in stubs)
    assert not shared_memory(process.pid)


def shared_memory(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"fer_triton_{pid}_*"))


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_it_listens_on_loopback_only(triton_server: TritonServer) -> None:
    for port in (triton_server.grpc_port, triton_server.http_port, triton_server.metrics_port):
        assert addresses(port) == {"127.0.0.1"}


async def test_it_takes_no_orders(triton_server: TritonServer) -> None:
    client = triton.InferenceServerClient(triton_server.address)
    for order in (client.load_model("emotion_tiny"), client.unload_model("emotion_tiny")):
        with pytest.raises(InferenceServerException, match="restricted"):
            await order
    await client.close()


async def test_a_fault_in_the_graph_answers_every_request(backend: TritonBackend) -> None:
    with pytest.raises(FerError):
        await backend.infer("emotion_tiny", {"face": BLACK}, ["nothing"], timeout_s=5)
    await ask(backend)


def test_a_repository_path_with_a_space_is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "my models"
    folder.mkdir()
    environment = os.environ | {"FER_MODEL_REPOSITORY": str(folder)}
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/triton/serve.py"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "must not contain a space" in done.stderr

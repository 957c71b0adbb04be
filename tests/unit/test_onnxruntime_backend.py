"""What ONNX Runtime in process promises beyond the seam: known threads, freed in time."""

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.errors import DeadlineExceeded
from fercore.inference.onnxruntime import OnnxRuntimeBackend
from tests.support.log_lines import Told

REPOSITORY = Path(__file__).parent.parent / "model_repository"
BLACK = np.zeros((1, 112, 112, 3), np.uint8)
WHITE = np.full((1, 112, 112, 3), 255, np.uint8)


async def loaded(*models: str) -> OnnxRuntimeBackend:
    backend = OnnxRuntimeBackend(REPOSITORY, threads=1)
    for model in models:
        assert await backend.is_ready(model)
    return backend


async def test_a_run_out_of_time_frees_its_thread() -> None:
    backend = await loaded("emotion_slow", "emotion_tiny")
    started = time.monotonic()
    await backend.infer("emotion_slow", {"face": WHITE}, ["logits"], timeout_s=60)
    whole_run_s = time.monotonic() - started
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            await backend.infer("emotion_slow", {"face": WHITE}, ["logits"], timeout_s=whole_run_s / 20)
    started = time.monotonic()
    await backend.infer("emotion_tiny", {"face": BLACK}, ["logits"], timeout_s=60)
    assert time.monotonic() - started < whole_run_s / 2
    await backend.close()


async def test_a_cancelled_caller_frees_its_thread() -> None:
    backend = await loaded("emotion_slow", "emotion_tiny")
    started = time.monotonic()
    await backend.infer("emotion_slow", {"face": WHITE}, ["logits"], timeout_s=60)
    whole_run_s = time.monotonic() - started
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(whole_run_s / 20):
            await backend.infer("emotion_slow", {"face": WHITE}, ["logits"], timeout_s=60)
    started = time.monotonic()
    await backend.infer("emotion_tiny", {"face": BLACK}, ["logits"], timeout_s=60)
    assert time.monotonic() - started < whole_run_s / 2
    await backend.close()


async def test_runs_go_on_in_a_named_pool_of_known_size() -> None:
    backend = OnnxRuntimeBackend(REPOSITORY, threads=2)
    await asyncio.gather(
        *(backend.infer("emotion_tiny", {"face": BLACK}, ["logits"], timeout_s=60) for _ in range(20))
    )
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("inference")]
    assert 1 <= len(names) <= 2
    await backend.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("inference")]


async def test_a_model_that_cannot_be_loaded_is_told_once_and_served_once_it_is_repaired(
    tmp_path: Path, told: Told
) -> None:
    graph = tmp_path / "emotion_tiny" / "1" / "model.onnx"
    graph.parent.mkdir(parents=True)
    graph.write_bytes(b"no graph")
    backend = OnnxRuntimeBackend(tmp_path, threads=1)
    assert [await backend.is_ready("emotion_tiny") for _ in range(3)] == [False] * 3
    (line,) = told("a model cannot be loaded")
    assert (line.level, line.details) == ("ERROR", {"model": "emotion_tiny"})
    graph.write_bytes((REPOSITORY / "emotion_tiny" / "1" / "model.onnx").read_bytes())
    assert await backend.is_ready("emotion_tiny")
    await backend.close()


async def test_the_loop_is_free_while_a_graph_runs() -> None:
    backend = await loaded("emotion_slow")
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(backend.infer("emotion_slow", {"face": WHITE}, ["logits"], timeout_s=60))
        ticks = 0
        while not run.done():
            await asyncio.sleep(0.01)
            ticks += 1
    assert ticks > 5
    await backend.close()

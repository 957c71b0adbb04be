"""The limit: the same detector and model called in one process, no service, no queue, no HTTP.

`python -m tests.load.limit THREADS SECONDS` prints frames a second and latency percentiles as JSON.
"""

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import onnxruntime as ort

from fercore.contracts.card import INPUT_NAME, LOGITS_NAME
from fercore.contracts.defaults import DEFAULT_DETECTOR, DEFAULT_MODEL
from fercore.inference.calibration import softmax
from fercore.service.metrics import Metrics
from services.detector import detectors
from services.detector.core import DetectorCore
from tests.load.client import Load
from tests.support.images import portrait_640x480
from tests.support.options import default_options

ROOT = Path(__file__).parent.parent.parent


def measure(
    threads: int, seconds: float, *, detector: str = DEFAULT_DETECTOR, model: str = DEFAULT_MODEL
) -> Load:
    """Analyse the same image again and again in `threads` threads, each its own closed loop."""
    cv2.setNumThreads(1)
    repository = ROOT / "model_repository"
    core = DetectorCore(detectors, model_repository=repository, threads=threads, metrics=Metrics())
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    graph = repository / f"emotion_{model}" / "1" / "model.onnx"
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    image, wanted = portrait_640x480(), default_options(detector)
    load = Load(threads, seconds)

    def frame() -> None:
        found = core.analyze(image, wanted)
        logits = session.run([LOGITS_NAME], {INPUT_NAME: found.crops})[0]
        assert softmax(np.asarray(logits)).argmax() == 1, "the portrait is happy"

    def loop() -> None:
        warm = perf_counter() + 1
        while perf_counter() < warm:
            frame()
        end = perf_counter() + seconds
        while (start := perf_counter()) < end:
            frame()
            load.latencies_s.append(perf_counter() - start)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(loop) for _ in range(threads)]:
            done.result()
    return load


async def measure_apart(threads: int, seconds: float) -> dict[str, float]:
    """Measure in a process of its own; gives `rate`, `p50_ms`, `p95_ms`, `p99_ms`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(threads), str(seconds), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the limit could not be measured")
    figures: dict[str, float] = json.loads(output)
    return figures


if __name__ == "__main__":
    result = measure(int(sys.argv[1]), float(sys.argv[2]))
    percentiles = {f"p{share}_ms": result.percentile_ms(share / 100) for share in (50, 95, 99)}
    print(json.dumps({"rate": result.rate, **percentiles}))

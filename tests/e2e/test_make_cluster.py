"""`make cluster`: it tells its address, outlives the death of any part, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.images import portrait_jpeg
from tests.support.listening import addresses
from tests.support.ports import free_ports
from tests.support.requires import IN_CI, missing
from tests.support.triton_server import ROOT, why_triton_is_missing

PORTS = (
    "FER_PORT",
    "FER_DETECTOR_PORT",
    "FER_CLASSIFIER_PORT",
    "FER_REDIS_PORT",
    "FER_STATE_PORT",
    "FER_TRITON_GRPC_PORT",
    "FER_TRITON_HTTP_PORT",
    "FER_TRITON_METRICS_PORT",
)


class ClusterScript:
    """`deploy/local/cluster` on free ports, with its own folder for logs."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.output = folder / "output"
        self.environment = (
            os.environ
            | {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
            | {"FER_RUN_DIR": str(self.run_dir)}
        )
        self.url = f"http://127.0.0.1:{self.environment['FER_PORT']}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [ROOT / "deploy/local/cluster"], env=self.environment, stdout=output, stderr=output
            )

    def pid_of(self, program: str) -> int:
        log = (self.run_dir / "supervisord.log").read_text()
        return int(re.findall(rf"spawned: '{program}' with pid (\d+)", log)[-1])

    def predict(self) -> httpx.Response:
        return httpx.post(
            f"{self.url}/predict",
            content=portrait_jpeg(),
            headers={"Content-Type": "image/jpeg"},
            timeout=10,
        )

    def answers(self) -> bool:
        try:
            return self.predict().status_code == 200
        except httpx.TransportError:
            return False

    def descendants(self) -> list[int]:
        found, parents = [], [self.process.pid]
        while parents:
            tasks = Path(f"/proc/{parents.pop()}/task").glob("*/children")
            children = [int(pid) for task in tasks for pid in task.read_text().split()]
            found += children
            parents += children
        return found

    def logs(self) -> str:
        files = [self.output, *self.run_dir.glob("*.log")]
        return "\n".join(f"== {file.name}\n{file.read_text()[-1500:]}" for file in files)


def until(condition: Callable[[], bool], cluster: ClusterScript, *, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, cluster.logs()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterScript]:
    if reason := why_triton_is_missing():
        missing("triton", reason, is_required=IN_CI)
    cluster = ClusterScript(tmp_path_factory.mktemp("cluster"))
    yield cluster
    if cluster.process.poll() is None:
        cluster.process.terminate()
        cluster.process.wait(30)


def test_it_tells_its_address_once_it_can_be_asked(cluster: ClusterScript) -> None:
    until(lambda: f"ready on {cluster.url}" in cluster.output.read_text(), cluster)
    answer = cluster.predict()
    assert answer.status_code == 200
    assert answer.json()["faces"]


def test_a_second_one_says_which_port_is_taken(cluster: ClusterScript) -> None:
    until(cluster.answers, cluster)
    done = subprocess.run(
        [ROOT / "deploy/local/cluster"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    port = cluster.environment["FER_PORT"]
    assert done.stderr == f"cluster: port {port} is taken; choose another with FER_PORT=\n"


@pytest.mark.parametrize("program", ["detector", "classifier", "gateway", "redis", "state", "triton"])
def test_it_outlives_the_death_of_any_part(cluster: ClusterScript, program: str) -> None:
    until(cluster.answers, cluster)
    pid = cluster.pid_of(program)
    os.kill(pid, signal.SIGKILL)
    until(lambda: cluster.pid_of(program) != pid, cluster)
    until(cluster.answers, cluster)


def test_everything_is_on_loopback(cluster: ClusterScript) -> None:
    until(cluster.answers, cluster)
    for name in PORTS:
        assert addresses(int(cluster.environment[name])) == {"127.0.0.1"}, name


def test_a_signal_ends_all_of_it(cluster: ClusterScript) -> None:
    until(cluster.answers, cluster)
    processes = cluster.descendants()
    assert len(processes) >= 8
    cluster.process.send_signal(signal.SIGTERM)
    assert cluster.process.wait(30) == 0
    assert [pid for pid in processes if Path(f"/proc/{pid}").exists()] == []

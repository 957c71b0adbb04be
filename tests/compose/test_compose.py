"""`docker compose up`, really: built, started, scaled, hurt and healed.

Needs a Docker engine; `FER_REQUIRE=docker` makes its absence a failure.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.pictures import portrait_jpeg
from tests.requires import missing
from tests.triton_server import ROOT, free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

PROJECT = "fer-test"


class Compose:
    """The compose file as a project of its own, on free ports."""

    def __init__(self) -> None:
        self.port, self.prometheus_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = os.environ | {
            "FER_PORT": str(self.port),
            "FER_PROMETHEUS_PORT": str(self.prometheus_port),
            "FER_VERSION": "test",
        }

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["docker", "compose", "--project-name", PROJECT, *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def containers(self, service: str) -> list[str]:
        return self.run("ps", "--quiet", service).split()

    def predict(self) -> httpx.Response:
        headers = {"Content-Type": "image/jpeg"}
        return httpx.post(f"{self.url}/predict", content=portrait_jpeg(), headers=headers, timeout=10)

    def answers(self) -> bool:
        try:
            return self.predict().status_code == 200
        except httpx.TransportError:
            return False


def inspect(container: str, form: str) -> str:
    command = ["docker", "inspect", "--format", form, container]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def kill_on_host(pid: int) -> None:
    """Kill a container's process from outside; after `docker kill` nothing would be restarted."""
    os.kill(pid, 9)


def until(condition: Callable[[], bool], *, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    try:
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=True)
        subprocess.run(["docker", "info"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        missing("docker", "there is no Docker engine with compose")
    compose = Compose()
    try:
        compose.run("build", "--quiet")
        compose.run("up", "--detach", "--wait", "--wait-timeout", "180")
        yield compose
    finally:
        compose.run("down", "--volumes", "--timeout", "10")


def test_a_portrait_goes_in_at_the_door_and_comes_out_happy(compose: Compose) -> None:
    until(compose.answers)
    [*_, face] = sorted(compose.predict().json()["faces"], key=lambda face: face["box"]["width"])
    assert face["emotion"] == "happiness"


def test_only_the_door_and_prometheus_are_published(compose: Compose) -> None:
    published = {}
    for line in compose.run("ps", "--format", "json").splitlines():
        row = json.loads(line)
        publishers = row["Publishers"] or []
        ports = {(port["URL"], port["PublishedPort"]) for port in publishers if port["PublishedPort"]}
        if ports:
            published[row["Service"]] = ports
    assert published == {
        "haproxy": {("127.0.0.1", compose.port)},
        "prometheus": {("127.0.0.1", compose.prometheus_port)},
    }


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/%6detrics"])
def test_what_operators_ask_is_not_answered_at_the_door(compose: Compose, path: str) -> None:
    until(compose.answers)
    answer = httpx.get(f"http://127.0.0.1:{compose.port}{path}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_nobody_is_root_and_nothing_can_be_written(compose: Compose) -> None:
    for service in ("gateway", "detector", "classifier", "triton", "redis", "state", "haproxy", "prometheus"):
        [container, *_] = compose.containers(service)
        shell = ["docker", "exec", container, "sh", "-c"]
        who = subprocess.run([*shell, "id -u"], capture_output=True, text=True, check=True).stdout
        assert int(who) > 0, service
        assert subprocess.run([*shell, "touch /here"], capture_output=True, check=False).returncode != 0


def test_the_inside_has_no_way_out(compose: Compose) -> None:
    """A detector sees pictures: it can reach Redis, and nothing beyond the cluster."""
    [detector] = compose.containers("detector")
    route = ["docker", "exec", detector, "cat", "/proc/net/route"]
    lines = subprocess.run(route, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    assert all(line.split()[1] != "00000000" for line in lines)  # no default route


def test_more_detectors_share_the_work(compose: Compose) -> None:
    until(compose.answers)
    compose.run("up", "--detach", "--no-recreate", "--wait", "--scale", "detector=3")
    detectors = compose.containers("detector")
    assert len(detectors) == 3
    read = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/metrics').read().decode())"

    def all_have_worked() -> bool:
        compose.predict()
        texts = [
            subprocess.run(
                ["docker", "exec", detector, "python", "-c", read], capture_output=True, text=True, check=True
            ).stdout
            for detector in detectors
        ]
        return all('fer_queue_messages_total{outcome="done",stream="fer:frames"}' in text for text in texts)

    until(all_have_worked)


@pytest.mark.parametrize("service", ["gateway", "detector", "classifier", "redis", "state", "haproxy"])
def test_a_part_that_died_is_restarted(compose: Compose, service: str) -> None:
    until(compose.answers)
    [container, *_] = compose.containers(service)
    restarts = int(inspect(container, "{{.RestartCount}}"))
    kill_on_host(int(inspect(container, "{{.State.Pid}}")))
    until(lambda: int(inspect(container, "{{.RestartCount}}")) > restarts)
    until(compose.answers)


def test_a_recorded_session_outlives_the_death_of_the_state_store(compose: Compose) -> None:
    until(compose.answers)
    with connect(f"ws://127.0.0.1:{compose.port}/stream", compression=None) as stream:
        stream.send(json.dumps({"type": "start", "record": True}))
        session_id = json.loads(stream.recv(20))["session_id"]
        stream.send(portrait_jpeg())
        assert json.loads(stream.recv(20))["type"] == "result"
        stream.send(json.dumps({"type": "stop"}))
        assert json.loads(stream.recv(20))["type"] == "stats"

    def trend() -> httpx.Response:
        return httpx.get(f"{compose.url}/sessions/{session_id}/trend")

    until(lambda: trend().status_code == 200)
    before = trend().json()
    assert before["totals"]["frames"] == 1
    [container] = compose.containers("state")
    restarts = int(inspect(container, "{{.RestartCount}}"))
    kill_on_host(int(inspect(container, "{{.State.Pid}}")))
    until(lambda: int(inspect(container, "{{.RestartCount}}")) > restarts)
    until(lambda: trend().status_code == 200)
    assert trend().json()["totals"] == before["totals"]
    # either gateway answers: leastconn takes turns
    assert {httpx.delete(f"{compose.url}/sessions/{session_id}").status_code for _ in range(4)} == {204, 404}


def test_a_triton_that_is_ready_but_dead_is_restarted(compose: Compose) -> None:
    until(compose.answers)
    [triton] = compose.containers("triton")
    restarts = int(inspect(triton, "{{.RestartCount}}"))
    rows = subprocess.run(
        ["docker", "top", triton, "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for row in rows:
        if "python_backend_stub" in row:
            kill_on_host(int(row.split()[0]))
    until(lambda: int(inspect(triton, "{{.RestartCount}}")) > restarts)
    until(compose.answers)


def test_prometheus_scrapes_every_part(compose: Compose) -> None:
    def jobs_up() -> set[str]:
        answer = httpx.get(
            f"http://127.0.0.1:{compose.prometheus_port}/api/v1/query", params={"query": "up == 1"}
        )
        return {row["metric"]["job"] for row in answer.json()["data"]["result"]}

    parts = {"gateway", "detector", "classifier", "triton", "haproxy", "prometheus"}
    until(lambda: jobs_up() == parts)


def test_the_door_itself_answers_problem_json_when_no_gateway_is_there(compose: Compose) -> None:
    compose.run("stop", "gateway")
    try:
        until(lambda: httpx.get(f"{compose.url}/models").status_code == 503)
        answer = httpx.get(f"{compose.url}/models", headers={"X-Request-ID": "abc-1"})
    finally:
        compose.run("start", "gateway")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "upstream_unavailable"
    assert answer.json()["request_id"] == "abc-1"
    assert answer.json()["instance"] == "/models"
    until(compose.answers)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(compose: Compose) -> None:
    with socket.create_connection(("127.0.0.1", compose.port), timeout=5) as door:
        door.sendall(b"POST /predict HTTP/1.1\r\nHost: door\r\nContent-Length: 64000001\r\n\r\n")
        answer = door.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert "content-type: application/problem+json" in answer
    assert '"code":"payload_too_large"' in answer


def test_streams_pass_the_door_to_both_gateways(compose: Compose) -> None:
    until(compose.answers)
    url, own, foreign = f"ws://127.0.0.1:{compose.port}/stream", compose.url, "https://evil.example"
    with pytest.raises(InvalidStatus):
        connect(url, origin=foreign)
    with ExitStack() as stack:
        streams = [stack.enter_context(connect(url, origin=own, compression=None)) for _ in range(4)]
        for stream in streams:
            stream.send(portrait_jpeg())
        for stream in streams:
            answer = json.loads(stream.recv(timeout=10))
            assert [face["face_id"] for face in answer["faces"]] == [1]
            stream.send('{"type": "stop"}')
            assert json.loads(stream.recv(timeout=10))["results"] == 1

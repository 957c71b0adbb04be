"""`docker compose up`, really: built, started, hurt and healed.

Needs a Docker engine; `FER_REQUIRE=docker` makes its absence a failure.
"""

import json
import os
import socket
import subprocess
from contextlib import ExitStack

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.compose.project import Compose, kill, restarts, until
from tests.pictures import portrait_jpeg

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


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


@pytest.mark.parametrize("service", ["gateway", "detector", "classifier", "redis", "state", "haproxy"])
def test_a_part_that_died_is_restarted(compose: Compose, service: str) -> None:
    until(compose.answers)
    [container, *_] = compose.containers(service)
    before = restarts(container)
    kill(container)
    until(lambda: restarts(container) > before)
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
    totals = trend().json()["totals"]
    assert totals["frames"] == 1
    [container] = compose.containers("state")
    before = restarts(container)
    kill(container)
    until(lambda: restarts(container) > before)
    until(lambda: trend().status_code == 200)
    assert trend().json()["totals"] == totals
    # either gateway answers: leastconn takes turns
    assert {httpx.delete(f"{compose.url}/sessions/{session_id}").status_code for _ in range(4)} == {204, 404}


def test_a_triton_that_is_ready_but_dead_is_restarted(compose: Compose) -> None:
    until(compose.answers)
    [triton] = compose.containers("triton")
    before = restarts(triton)
    rows = subprocess.run(
        ["docker", "top", triton, "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for row in rows:
        if "python_backend_stub" in row:
            os.kill(int(row.split()[0]), 9)
    until(lambda: restarts(triton) > before)
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

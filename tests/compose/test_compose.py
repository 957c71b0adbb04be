"""`docker compose up`, really: built, started, hurt and healed.

Needs a Docker engine; `FER_REQUIRE=docker` makes its absence a failure.
"""

import json
import os
import re
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.compose.project import (
    TAG,
    Compose,
    keep_logs,
    kill,
    log_of,
    megabytes_over,
    metric,
    metric_of_door,
    restarts,
)
from tests.support.images import portrait_jpeg
from tests.support.log_lines import LogLine, log_lines
from tests.support.readme import COMMANDS, run
from tests.support.rules import is_of_haproxy, rules, selectors
from tests.support.triton_server import ROOT
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(600)


LIVE_RESULTS = 'fer_stream_frames_total{outcome="result"}'
OPEN_GATEWAYS = 'haproxy_backend_active_servers{proxy="gateways"}'
MAX_MEGABYTES = {"gateway": 120}
"""Of an image, over its base."""


def test_the_readmes_first_command_goes_in_at_the_door_and_comes_out_happy(compose: Compose) -> None:
    until(compose.answers)
    [face] = run(COMMANDS[0], compose.url)["faces"]
    assert face["emotion"] == "happiness"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_curl_of_the_readme_works_at_the_door(compose: Compose, command: str) -> None:
    until(compose.answers)
    assert run(command, compose.url)


def test_images_are_small(compose: Compose, report: list[str]) -> None:
    dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
    base = re.findall(r"^FROM (\S+)$", dockerfile, re.MULTILINE)[-1]
    sizes = {
        name: megabytes_over(base, f"fer-{name}:{TAG}")
        for name in ("gateway", "detector", "classifier", "triton")
    }
    report.append(f"MB over {base}: " + ", ".join(f"{name} {size:.1f}" for name, size in sizes.items()))
    assert {name: sizes[name] for name, limit in MAX_MEGABYTES.items() if sizes[name] > limit} == {}


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
    """A detector sees images: it can reach Redis, and nothing beyond the cluster."""
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


def restarts_known(compose: Compose, job: str) -> float:
    """Give how often Prometheus saw processes of a job start again, as the alert counts it."""
    [alert] = [rule for rule in rules() if rule.get("alert") == "WorkerRestarts"]
    counted, _ = alert["expr"].split(">=")
    return sum(
        float(row["value"][1]) for row in compose.ask_prometheus(counted) if row["metric"]["job"] == job
    )


@pytest.mark.parametrize("service", ["gateway", "detector", "classifier", "triton", "haproxy"])
def test_prometheus_sees_that_a_part_was_started_again(compose: Compose, service: str) -> None:
    until(compose.answers)
    containers = compose.containers(service)
    until(lambda: len(compose.ask_prometheus(f'up{{job="{service}"}} == 1')) == len(containers))
    before = restarts_known(compose, service)
    kill(containers[0])
    until(lambda: restarts_known(compose, service) > before)
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
        return {row["metric"]["job"] for row in compose.ask_prometheus("up == 1")}

    parts = {"gateway", "detector", "classifier", "triton", "haproxy", "prometheus"}
    until(lambda: jobs_up() == parts)


def test_prometheus_knows_what_rules_ask_of_haproxy(compose: Compose) -> None:
    until(compose.answers)
    asked = {text for rule in rules() for text in selectors(rule["expr"]) if is_of_haproxy(text)}
    assert len(asked) > 2
    until(lambda: all(compose.ask_prometheus(text) for text in asked))
    until(
        lambda: compose.ask_prometheus('haproxy_frontend_http_responses_total{proxy="edge", code="2xx"} > 0')
    )


def test_the_door_itself_answers_problem_json_when_no_gateway_is_there(compose: Compose) -> None:
    def failures() -> float:
        [row] = compose.ask_prometheus("fer:door_failures:rate5m")
        return float(row["value"][1])

    before = failures()
    compose.run("stop", "gateway")
    try:
        until(lambda: httpx.get(f"{compose.url}/models").status_code == 503)
        for _ in range(20):  # more than may fall out of the five minutes meanwhile
            httpx.get(f"{compose.url}/models")
        answer = httpx.get(f"{compose.url}/models", headers={"X-Request-ID": "abc-1"})
    finally:
        compose.run("start", "gateway")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "upstream_unavailable"
    assert answer.json()["request_id"] == "abc-1"
    assert answer.json()["instance"] == "/models"
    [told] = told_by_the_door(compose, "abc-1")
    assert (told.level, told.event) == ("WARNING", "a request failed")
    assert told.details == {"status": 503, "server": "<NOSRV>", "ended": "SC"}
    until(compose.answers)
    until(lambda: failures() > before)


def told_by_the_door(compose: Compose, request_id: str) -> list[LogLine]:
    """Give the lines on a request; of what it is itself doing, HAProxy writes lines of its own form."""
    [door] = compose.containers("haproxy")
    lines = log_lines("\n".join(line for line in log_of(door).splitlines() if line.startswith("{")))
    return [line for line in lines if line.request_id == request_id]


def test_what_a_gateway_answers_the_door_does_not_tell_again(compose: Compose) -> None:
    until(compose.answers)
    answer = httpx.post(f"{compose.url}/predict", content=b"none", headers={"X-Request-ID": "abc-2"})
    assert answer.status_code == 415
    assert told_by_the_door(compose, "abc-2") == []


def test_all_that_a_container_has_told_is_kept(compose: Compose, tmp_path: Path) -> None:
    shown = keep_logs(tmp_path)
    kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
    for service in ("gateway", "detector", "classifier", "triton", "redis", "state", "haproxy", "prometheus"):
        [name, *_] = [name for name in kept if service in name]
        assert kept[name].splitlines()[-1] in shown
        assert len(kept[name]) > 0


def test_a_body_that_is_too_large_is_refused_before_it_is_read(compose: Compose) -> None:
    with socket.create_connection(("127.0.0.1", compose.port), timeout=5) as door:
        door.sendall(b"POST /predict HTTP/1.1\r\nHost: door\r\nContent-Length: 64000001\r\n\r\n")
        answer = door.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert "content-type: application/problem+json" in answer
    assert '"code":"payload_too_large"' in answer


def test_streams_pass_the_door_to_both_gateways(compose: Compose) -> None:
    until(compose.answers)
    url = f"ws://127.0.0.1:{compose.port}/stream"
    own, foreign = Origin(compose.url), Origin("https://evil.example")
    gateways = compose.containers("gateway")
    until(lambda: metric_of_door(gateways[0], OPEN_GATEWAYS) == len(gateways))
    before = [metric(gateway, LIVE_RESULTS) for gateway in gateways]
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
    after = [metric(gateway, LIVE_RESULTS) for gateway in gateways]
    by_gateway = [new - old for new, old in zip(after, before, strict=True)]
    assert sum(by_gateway) == len(streams)
    assert min(by_gateway) >= 1

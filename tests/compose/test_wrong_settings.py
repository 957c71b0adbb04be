"""What is set wrong is told in one line by the part concerned; the others stay up, unready."""

import socket
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.compose.project import PROJECT, Compose, inspect, is_ready
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)


def are_running(compose: Compose, *services: str) -> bool:
    containers = [container for service in services for container in compose.containers(service)]
    return bool(containers) and all(inspect(one, "{{.State.Running}}") == "true" for one in containers)


def test_without_an_env_file_all_is_as_in_the_example(compose: Compose) -> None:
    example = compose.run("--env-file", ".env.example", "config")
    assert example == compose.run("config")


def test_an_occupied_port_is_named_and_the_rest_runs(compose: Compose) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        failed = compose.with_overlay(FER_PORT=port).try_to("up", "--detach", "--no-deps", "haproxy")
    assert failed.returncode != 0
    [line] = [line for line in failed.stderr.splitlines() if str(port) in line]
    assert "already" in line
    assert are_running(compose, "gateway", "detector", "classifier", "redis")
    compose.up("--no-deps", "haproxy")
    until(compose.answers)


def test_a_model_folder_that_may_not_be_read_is_named(compose: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir(mode=0)
    wrong = compose.with_overlay(FER_MODEL_REPOSITORY=folder)
    for service in ("triton", "classifier"):  # together, the second would wait for the first to be healthy
        wrong.run("up", "--detach", "--no-deps", service)
    why = "the model repository cannot be read"
    for service in ("triton", "classifier"):
        until(partial(wrong.tells, service, why))
        assert "Permission denied" in wrong.logs(service)
    [classifier] = wrong.containers("classifier")
    until(lambda: not is_ready(classifier))
    until(lambda: not any(is_ready(gateway) for gateway in wrong.containers("gateway")))
    assert are_running(wrong, "classifier", "gateway", "detector", "redis", "haproxy")
    compose.up()
    until(compose.answers)


def test_a_full_disk_of_prometheus_is_told_and_the_rest_runs(compose: Compose) -> None:
    full = compose.with_files("tests/compose/full_disk.yml")
    full.up("--no-deps", "prometheus")
    until(lambda: "no space left on device" in full.logs("prometheus"))
    assert are_running(full, "prometheus", "gateway", "detector", "classifier", "redis", "haproxy")
    until(compose.answers)
    compose.up("--no-deps", "prometheus")
    subprocess.run(["docker", "volume", "rm", f"{PROJECT}_full"], capture_output=True, check=True)

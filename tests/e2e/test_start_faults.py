"""What is set wrong: the process concerned says why in one line, and ends or stays up, unready."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import redis

from tests.support.cluster import Service
from tests.support.log_lines import LogLine, log_lines
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.triton_server import ROOT

PATIENCE_S = 60
SERVICES = ("gateway", "detector", "classifier", "allinone")
NO_BROKER = {"FER_REDIS_URL": "redis://127.0.0.1:1/0", "FER_BACKEND": "onnxruntime", "FER_THREADS": "1"}
Start = Callable[..., Service]


def complaints(log: str) -> list[LogLine]:
    return [line for line in log_lines(log) if line.level not in ("DEBUG", "INFO")]


def ended(name: str, **settings: str) -> tuple[int, str]:
    """Run a service that cannot start."""
    done = subprocess.run(
        [sys.executable, "-m", f"services.{name}"],
        cwd=ROOT,
        env=os.environ | NO_BROKER | settings,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a service that stays up, and wait until it answers."""
    started: list[Service] = []

    def start(name: str, **settings: str) -> Service:
        service = Service(name, free_port(), NO_BROKER | settings, tmp_path / f"{name}.log")
        started.append(service)
        service.start()
        until(lambda: status(service, "/livez") == 200, service)
        return service

    yield start
    for service in started:
        assert service.stop() == 0


def status(service: Service, path: str) -> int:
    try:
        return httpx.get(f"{service.url}{path}", timeout=10).status_code
    except httpx.TransportError:
        return 0


def until(condition: Callable[[], object], service: Service) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert service.process is not None
        assert service.process.poll() is None, service.log()
        assert time.monotonic() < give_up, service.log()
        time.sleep(0.05)


@pytest.mark.parametrize("name", SERVICES)
def test_a_wrong_setting_is_named_in_one_line_and_ends_the_start(name: str) -> None:
    code, log = ended(name, FER_PORT="many")
    (line,) = log_lines(log)
    assert (code, line.service, line.level, line.event) == (1, name, "CRITICAL", "the service cannot start")
    assert str(line.details["reason"]).startswith("wrong setting: FER_PORT='many': ")


@pytest.mark.parametrize("name", SERVICES)
def test_an_occupied_port_is_named_in_one_line_and_ends_the_start(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, log = ended(name, FER_PORT=str(port))
    (line,) = complaints(log)
    assert (code, line.level, line.event, line.traceback) == (1, "CRITICAL", "the service cannot start", "")
    reason = f"cannot listen on FER_HOST=127.0.0.1 FER_PORT={port}: Address already in use"
    assert line.details == {"reason": reason}


def test_a_password_in_an_address_that_is_refused_is_not_shown() -> None:
    code, log = ended("gateway", FER_OTLP_ENDPOINT="http://user:pa55@collector:4318")
    (line,) = log_lines(log)
    assert code == 1
    assert "FER_OTLP_ENDPOINT='http://(secret)@collector:4318'" in str(line.details["reason"])
    assert "pa55" not in log


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("gateway", "a Redis is away"),
        ("detector", "broker is away"),
        ("classifier", "broker is away"),
    ],
)
def test_a_wrong_password_is_told_once_and_the_service_stays_up_unready(
    start: Start, own_redis_server: RedisServer, name: str, event: str
) -> None:
    with redis.Redis.from_url(own_redis_server.url) as broker:
        broker.config_set("requirepass", "right-pa55")
    service = start(name, FER_REDIS_URL=f"redis://:wrong-pa55@127.0.0.1:{own_redis_server.port}/0")
    until(lambda: event in service.log(), service)
    readiness = httpx.get(f"{service.url}/readyz", timeout=10)
    assert readiness.status_code == 503
    (line,) = complaints(service.log())
    assert (line.event, line.level, line.details["reason"]) == (
        event,
        "WARNING",
        "the broker refuses the password",
    )
    assert not [line for line in log_lines(service.log()) if line.traceback]
    assert "pa55" not in service.log() + readiness.text


def test_a_model_folder_that_cannot_be_read_is_told_once_and_the_classifier_stays_up_unready(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "models").write_text("no folder")
    service = start("classifier", FER_MODEL_REPOSITORY=str(tmp_path / "models"))
    assert status(service, "/readyz") == 503
    (line,) = [line for line in complaints(service.log()) if line.event != "broker is away"]
    assert (line.level, line.event, line.traceback) == ("ERROR", "the model repository cannot be read", "")
    assert line.details == {"reason": f"{tmp_path / 'models'}: Not a directory"}


def test_weights_that_are_missing_are_told_once_and_the_detector_stays_up_unready(
    start: Start, tmp_path: Path
) -> None:
    service = start("detector", FER_DETECTOR="yunet", FER_MODEL_REPOSITORY=str(tmp_path))
    assert httpx.get(f"{service.url}/readyz", timeout=10).json()["checks"]["detector"] != "ok"
    (line,) = [line for line in complaints(service.log()) if line.event != "broker is away"]
    assert (line.level, line.event, line.traceback) == ("ERROR", "a detector cannot be loaded", "")
    assert "detector_yunet/model.onnx is missing" in str(line.details["reason"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"FER_MODEL_REPOSITORY": "/nowhere/at/all"},
            "the model repository cannot be read: /nowhere/at/all: ",
        ),
        ({"FER_TRITON_HTTP_PORT": "many"}, "wrong setting: FER_TRITON_HTTP_PORT='many': must be a number"),
        ({"FER_TRITON_CHECK_S": "often"}, "wrong setting: FER_TRITON_CHECK_S='often': must be a number"),
    ],
)
def test_tritons_launcher_says_why_in_one_line_of_the_same_form(
    tmp_path: Path, settings: dict[str, str], told: str
) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/triton/serve.py"],
        env=os.environ | {"FER_MODEL_REPOSITORY": str(tmp_path)} | settings,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    (line,) = log_lines(done.stderr)
    assert (done.returncode, line.service, line.level) == (1, "triton", "ERROR")
    assert line.event.startswith(told)


def test_tritons_launcher_ends_by_a_fault_in_one_line(tmp_path: Path) -> None:
    environment = os.environ | {"FER_MODEL_REPOSITORY": str(tmp_path)}
    environment.pop("FER_TRITON_HOME", None)
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/triton/serve.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    (line,) = log_lines(done.stderr)
    assert (done.returncode, line.level) == (1, "CRITICAL")
    assert "KeyError: 'FER_TRITON_HOME'" in line.traceback

"""The overlays that can run here: https at the door, passwords for Redis."""

import json
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.compose.project import Compose, inspect, is_ready, until
from tests.pictures import portrait_jpeg
from tests.triton_server import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SERVICES = ("gateway", "detector", "classifier")


def test_with_a_certificate_the_door_speaks_https_and_http(compose: Compose, tmp_path: Path) -> None:
    file = tmp_path / "certs/local.pem"
    subprocess.run([ROOT / "deploy/local/cert", file], capture_output=True, check=True)
    compose.with_overlay("https", FER_CERTIFICATE=file).up("--no-deps", "haproxy")
    trust = ssl.create_default_context(cafile=str(file))
    door = f"127.0.0.1:{compose.https_port}"
    until(compose.answers)
    assert httpx.get(f"https://{door}/emotions", verify=trust).status_code == 200
    with connect(f"wss://{door}/stream", origin=f"https://{door}", ssl=trust, compression=None) as stream:
        stream.send(portrait_jpeg())
        assert json.loads(stream.recv(20))["type"] == "result"
    compose.up("--no-deps", "haproxy")


def test_without_its_certificate_only_the_door_does_not_start(compose: Compose, tmp_path: Path) -> None:
    wrong = compose.with_overlay("https", FER_CERTIFICATE=tmp_path / "none.pem")
    failed = wrong.try_to("up", "--detach", "--no-deps", "haproxy")
    assert failed.returncode != 0
    assert f"{tmp_path}/none.pem" in failed.stderr.strip().splitlines()[-1]
    compose.up("--no-deps", "haproxy")


def test_redis_asks_for_its_password_and_a_wrong_one_is_told(compose: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    subprocess.run([ROOT / "deploy/local/passwords", folder], check=True)
    guarded = compose.with_overlay("password", FER_SECRETS=folder)
    guarded.up()
    until(guarded.answers)
    [redis] = guarded.containers("redis")
    asked = subprocess.run(
        ["docker", "exec", redis, "redis-cli", "keys", "*"], capture_output=True, text=True, check=False
    )
    assert "NOAUTH" in asked.stdout + asked.stderr
    password = (folder / "redis_conf").read_text().split()[1]
    for service in SERVICES:
        for container in guarded.containers(service):
            assert password not in inspect(container, "{{json .Config}}")

    (folder / "redis_url").write_text("redis://:wr0ng@redis:6379/0\n")
    guarded.run("restart", "--timeout", "5", *SERVICES)
    for service in SERVICES:
        for container in guarded.containers(service):
            until(lambda service=service: "refuses the password" in guarded.logs(service))
            assert inspect(container, "{{.State.Running}}") == "true"
            assert not is_ready(container)
    assert "wr0ng" not in guarded.logs()
    compose.up()
    until(compose.answers)

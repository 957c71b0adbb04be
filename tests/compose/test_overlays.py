"""The overlays that can run here: https at the door, passwords for Redis, the webhook's secrets."""

import json
import os
import ssl
import subprocess
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.compose.project import Compose, inspect, is_ready
from tests.support.images import portrait_jpeg
from tests.support.requires import program
from tests.support.triton_server import ROOT
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)

SERVICES = ("gateway", "detector", "classifier")
HOOK = {"webhook_url": "https://hook.example/h00k-path", "webhook_secret": "s3cret-of-the-hook"}
READ_HOOK = """
from fercore.service.settings import load
from services.gateway.settings import GatewaySettings
settings = load(GatewaySettings)
print(settings.webhook_url.get_secret_value(), settings.webhook_secret.get_secret_value())
"""


def test_with_a_certificate_the_door_speaks_https_and_http(compose: Compose, tmp_path: Path) -> None:
    program("openssl")
    file = tmp_path / "certs/local.pem"
    subprocess.run([ROOT / "deploy/local/cert", file], capture_output=True, check=True)
    compose.with_overlay("https", FER_CERTIFICATE=file).up("--no-deps", "haproxy")
    trust = ssl.create_default_context(cafile=str(file))
    door = f"127.0.0.1:{compose.https_port}"
    until(compose.answers)
    assert httpx.get(f"https://{door}/emotions", verify=trust).status_code == 200
    url, origin = f"wss://{door}/stream", Origin(f"https://{door}")
    with connect(url, origin=origin, ssl=trust, compression=None) as stream:
        stream.send(portrait_jpeg())
        assert json.loads(stream.recv(20))["type"] == "result"
    compose.up("--no-deps", "haproxy")


def test_without_its_certificate_only_the_door_does_not_start(compose: Compose, tmp_path: Path) -> None:
    wrong = compose.with_overlay("https", FER_CERTIFICATE=tmp_path / "none.pem")
    failed = wrong.try_to("up", "--detach", "--no-deps", "haproxy")
    assert failed.returncode != 0
    assert f"{tmp_path}/none.pem" in failed.stderr.strip().splitlines()[-1]
    compose.up("--no-deps", "haproxy")


def test_secrets_come_in_files_and_a_wrong_password_is_told(compose: Compose, tmp_path: Path) -> None:
    program("openssl")
    folder = tmp_path / "secrets"
    subprocess.run([ROOT / "deploy/local/passwords", folder], check=True)
    for name, secret in HOOK.items():
        (folder / name).write_text(f"{secret}\n")
    guarded = compose.with_overlay("password", "webhook", FER_SECRETS=folder)
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
            config = inspect(container, "{{json .Config}}")
            assert [secret for secret in (password, *HOOK.values()) if secret in config] == []
    [gateway, *_] = guarded.containers("gateway")
    read = ["docker", "exec", gateway, "python", "-c", READ_HOOK]
    known = subprocess.run(read, capture_output=True, text=True, check=True).stdout
    assert known.split() == [*HOOK.values()]

    (folder / "redis_url").write_text("redis://:wr0ng@redis:6379/0\n")
    guarded.run("restart", "--timeout", "5", *SERVICES)
    for service in SERVICES:
        for container in guarded.containers(service):
            until(partial(guarded.tells, service, "refuses the password"))
            assert inspect(container, "{{.State.Running}}") == "true"
            assert not is_ready(container)
    assert "wr0ng" not in guarded.logs()
    compose.up()
    until(compose.answers)


def test_swarm_takes_the_secrets_of_the_same_overlays(tmp_path: Path) -> None:
    files = ["deploy/swarm/stack.yml", "deploy/compose/password.yml", "deploy/compose/webhook.yml"]
    docker = program("docker", package="docker.io", is_required=False)
    command = [docker, "stack", "config", *(part for file in files for part in ("--compose-file", file))]
    environment = os.environ | {"FER_SECRETS": str(tmp_path)}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    stack = yaml.safe_load(told.stdout)
    given = {
        name: [secret.get("target", secret["source"]) for secret in service.get("secrets", [])]
        for name, service in stack["services"].items()
    }
    assert {name: sorted(secrets) for name, secrets in given.items() if secrets} == {
        "gateway": ["fer_redis_url", "fer_state_url", "fer_webhook_secret", "fer_webhook_url"],
        "detector": ["fer_redis_url"],
        "classifier": ["fer_redis_url"],
        "redis": ["redis_conf"],
        "state": ["state_conf"],
    }
    assert {secret["file"] for secret in stack["secrets"].values()} == {
        f"{tmp_path}/{name}" for name in stack["secrets"]
    }

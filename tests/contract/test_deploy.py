"""What the compose file, the images and the configurations beside them promise."""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fercore.contracts.defaults import DEFAULT_DETECTOR, DEFAULT_MODEL
from services.gateway.alerts.settings import AlertSettings
from services.gateway.recordings.settings import RecordingSettings

ROOT = Path(__file__).parent.parent.parent
DOCKERFILES = [ROOT / "deploy/docker/Dockerfile", ROOT / "deploy/triton/Dockerfile"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HAPROXY = (ROOT / "deploy/haproxy/haproxy.cfg").read_text()

every_service = pytest.mark.parametrize("name", sorted(SERVICES))
every_dockerfile = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)


def dockerfile_of(service: dict[str, Any]) -> Path:
    return ROOT / service["build"]["dockerfile"]


WATCHERS = {"prometheus", "alertmanager", "grafana"}


def is_not_root(user: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user) is not None


def test_the_whole_cluster_is_there() -> None:
    cluster = {"haproxy", "gateway", "detector", "classifier", "triton", "redis", "state", "prometheus"}
    assert cluster <= SERVICES.keys()


@every_service
def test_no_container_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        users = re.findall(r"^USER (\S+)$", dockerfile_of(service).read_text(), re.MULTILINE)
        assert is_not_root(users[-1])
    else:
        assert is_not_root(service["user"]) or service["user"] == "redis"


@every_service
def test_every_container_is_hardened_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert not {"privileged", "network_mode", "pid", "ipc"} & service.keys()


@every_service
def test_every_container_has_limits(name: str) -> None:
    assert SERVICES[name]["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}


@every_service
def test_every_container_tells_its_health(name: str) -> None:
    service = SERVICES[name]
    assert "healthcheck" in service or "\nHEALTHCHECK " in dockerfile_of(service).read_text()


@every_service
def test_parts_wait_for_health_not_for_a_start(name: str) -> None:
    for wanted in SERVICES[name].get("depends_on", {}).values():
        assert wanted["condition"] == "service_healthy"


@every_service
def test_only_the_door_and_the_watchers_publish_and_on_loopback(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert bool(ports) == (name in {"haproxy", *WATCHERS})
    for port in ports:
        assert re.match(r"(\$\{FER_(PROMETHEUS_)?PUBLISH:-127\.0\.0\.1\}|127\.0\.0\.1):", port)


@every_service
def test_every_image_has_a_tag_that_does_not_move(name: str) -> None:
    image = SERVICES[name]["image"]
    _, _, tag = image.partition(":")
    assert tag
    assert "latest" not in image
    assert "@sha256" not in image  # cannot be built or pulled where there is no registry


@every_service
def test_what_is_mounted_from_the_host_is_read_only(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        if volume.startswith((".", "/", "$")):
            assert volume.endswith(":ro")


@every_service
def test_every_stage_can_be_scaled(name: str) -> None:
    assert "container_name" not in SERVICES[name]


def test_the_inside_has_no_way_out() -> None:
    assert COMPOSE["networks"]["internal"] == {"internal": True}
    for name, service in SERVICES.items():
        on_edge = "edge" in service["networks"]
        assert on_edge == (name in {"haproxy", "gateway", *WATCHERS}), name
    assert SERVICES["haproxy"]["networks"] == ["edge"]


def test_redis_keeps_nothing() -> None:
    command = " ".join(part or "''" for part in SERVICES["redis"]["command"])
    assert command.startswith("redis-server --save '' --appendonly no --maxmemory ")
    assert command.endswith("--maxmemory-policy noeviction")
    assert "volumes" not in SERVICES["redis"]


def test_state_keeps_everything_and_sees_no_frame() -> None:
    command = " ".join(part or "''" for part in SERVICES["state"]["command"])
    assert "--appendonly yes --appendfsync everysec" in command
    assert command.endswith("--maxmemory-policy noeviction")
    assert SERVICES["state"]["volumes"] == ["state:/data"]
    assert "state" in COMPOSE["volumes"]
    assert SERVICES["state"]["networks"] == ["internal"]
    knowing = [name for name, service in SERVICES.items() if "//state:" in str(service.get("environment"))]
    assert knowing == ["gateway"]
    environment = SERVICES["gateway"]["environment"]
    assert environment["FER_STATE_URL"] != environment["FER_REDIS_URL"]


def test_every_setting_of_recordings_and_alerts_reaches_the_gateways() -> None:
    names = {"state_url", *RecordingSettings.__annotations__, *AlertSettings.__annotations__}
    wanted = {f"FER_{name.upper()}" for name in names}
    assert wanted <= SERVICES["gateway"]["environment"].keys()


@every_dockerfile
def test_images_are_built_of_hashed_locks_in_stages(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    assert len(re.findall(r"^FROM python:3\.11-slim-bookworm( AS build)?$", text, re.MULTILINE)) == 2
    assert "# syntax" not in text
    installed_by = text + (ROOT / "deploy/triton/setup").read_text()
    assert "--require-hashes" in installed_by
    assert "compileall" in text
    last_stage = text.rpartition("\nFROM ")[2]
    assert "pip" not in last_stage
    assert "RUN" not in last_stage


def test_service_images_hold_only_their_own_service() -> None:
    copied = re.findall(r"^COPY (services\S*)", DOCKERFILES[0].read_text(), re.MULTILINE)
    assert copied == ["services/__init__.py", "services/${SERVICE}"]


@pytest.mark.parametrize("service", ["gateway", "detector", "classifier"])
def test_every_service_image_has_its_lock(service: str) -> None:
    assert SERVICES[service]["build"]["args"] == {"SERVICE": service}
    assert "--hash=sha256:" in (ROOT / f"requirements/{service}.lock").read_text()


def test_triton_is_kept_off_numpy_2() -> None:
    assert re.search(r"^numpy==1\.26\.4 ", (ROOT / "requirements/triton.lock").read_text(), re.MULTILINE)


def test_the_door_follows_the_number_of_gateways() -> None:
    assert "balance leastconn" in HAPROXY
    assert "option httpchk GET /livez" in HAPROXY
    assert re.search(r"server-template gateway \d+ gateway:8000", HAPROXY)
    assert "resolvers docker init-addr none" in HAPROXY


@pytest.mark.parametrize("status", [400, 408, 413, 500, 502, 503, 504])
def test_the_doors_own_errors_are_problem_json(status: int) -> None:
    found = re.search(
        rf"http-error status {status} content-type application/problem\+json (.*)lf-string '(.*)'", HAPROXY
    )
    assert found
    body = yaml.safe_load(found[2])
    assert body.keys() == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    assert body["status"] == status
    assert body["type"] == f"urn:fer:error:{body['code']}"
    assert ("Retry-After" in found[1]) == (status == 503)


def test_nobody_can_log_in_to_grafana() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"  # a password of admin's beside the login form
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert "GF_AUTH_ANONYMOUS_ORG_ROLE" not in environment  # who comes is a viewer


def test_prometheus_finds_every_replica_by_name() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    found = {
        name
        for job in config["scrape_configs"]
        for discovery in job.get("dns_sd_configs", [])
        for name in discovery["names"]
    }
    assert found == {"gateway", "detector", "classifier", "triton"}
    assert found <= SERVICES.keys()


def test_supervisor_repairs_every_part_and_leaves_no_child_behind() -> None:
    config = configparser.RawConfigParser(inline_comment_prefixes=())
    config.read(ROOT / "deploy/local/supervisord.conf")
    programs = {name.removeprefix("program:"): dict(config[name]) for name in config if ":" in name}
    assert programs.keys() == {"redis", "state", "triton", "gateway", "detector", "classifier"}
    for program in programs.values():
        assert program["autorestart"] == "true"
        assert program["killasgroup"] == "true"
    assert not any("0.0.0.0" in program["command"] for program in programs.values())
    inwards = sorted(programs, key=lambda name: -int(programs[name]["priority"]))
    assert inwards == ["gateway", "detector", "classifier", "triton", "state", "redis"]
    assert "--appendonly no" in programs["redis"]["command"]
    assert "--appendonly yes" in programs["state"]["command"]


def test_no_deployment_file_holds_an_address_of_a_package_index() -> None:
    for path in [*(ROOT / "deploy").rglob("*"), ROOT / "docker-compose.yml"]:
        if path.is_file() and path.suffix != ".pyc":
            assert not re.search(r"index-url|trusted-host|/simple\b", path.read_text()), path


def test_compose_and_the_services_have_the_same_default_model_and_detector():
    settings = COMPOSE["x-settings"]
    assert settings["FER_MODEL"] == f"${{FER_MODEL:-{DEFAULT_MODEL}}}"
    assert settings["FER_DETECTOR"] == f"${{FER_DETECTOR:-{DEFAULT_DETECTOR}}}"

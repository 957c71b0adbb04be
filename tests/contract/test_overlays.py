"""What .env.example, the overlays of deploy/compose/, the Swarm stack and `make cert` promise."""

import importlib.util
import re
import ssl
import stat
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from fercore.service.settings import ENV_PREFIX, ServiceSettings, load
from services.classifier.settings import ClassifierSettings
from services.detector.settings import DetectorSettings
from services.gateway.settings import GatewaySettings
from tests.support.requires import program

ROOT = Path(__file__).parent.parent.parent
OVERLAYS = sorted((ROOT / "deploy/compose").glob("*.yml"))
STACK = ROOT / "deploy/swarm/stack.yml"
BASE = (ROOT / "docker-compose.yml").read_text()
VARIABLE = re.compile(r"\$\{(FER_\w+)(?::-([^}]*))?\}")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(BASE)["services"]
EXAMPLE = dict(re.findall(r"^# \S.*\n#(FER_\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
"""The variables that have a line of meaning above them."""

HANDED_ON = [name for name, value in SERVICES["gateway"]["environment"].items() if value is None]

SETTINGS: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "detector": DetectorSettings,
    "classifier": ClassifierSettings,
}
OF_THE_IMAGE = {"FER_HOST"}
"""A container listens on all of its addresses; which of the machine's leads there, FER_PUBLISH says."""


class Loader(yaml.SafeLoader):
    """Reads compose's own tags, too."""


Loader.add_constructor("!reset", lambda loader, node: None)


def overlay(name: str) -> dict[str, dict[str, Any]]:
    text = (ROOT / f"deploy/compose/{name}.yml").read_text()
    services: dict[str, dict[str, Any]] = yaml.load(text, Loader)["services"]
    return services


def swarm_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("swarm_build", ROOT / "deploy/swarm/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_names_every_variable_and_no_other() -> None:
    used = set(HANDED_ON)
    for file in (ROOT / "docker-compose.yml", *OVERLAYS, STACK):
        used |= {name for name, _ in VARIABLE.findall(file.read_text())}
    assert used == EXAMPLE.keys()


def test_the_example_changes_nothing() -> None:
    """Nothing is set in it; what stands there as a default is compose's, or the service's own."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
    for name, default in VARIABLE.findall(BASE):
        assert EXAMPLE[name] == default, name


def test_what_compose_only_hands_on_has_the_services_own_default(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load(GatewaySettings)
    for name in HANDED_ON:
        monkeypatch.setenv(name, EXAMPLE[name])
    assert load(GatewaySettings) == defaults


def test_what_the_detector_is_shown_has_the_services_own_default(monkeypatch: pytest.MonkeyPatch) -> None:
    default = load(DetectorSettings).detect_size_px
    monkeypatch.setenv("FER_DETECT_SIZE_PX", EXAMPLE["FER_DETECT_SIZE_PX"])
    assert load(DetectorSettings).detect_size_px == default


@pytest.mark.parametrize(
    ("document", "heading"), [("README.md", "## Settings"), ("docs/streaming.md", "## Limits")]
)
def test_every_setting_of_a_documents_table_reaches_a_service_that_has_it(
    document: str, heading: str
) -> None:
    table = (ROOT / document).read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`FER_.*?) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"FER_\w+", row)}
    given = {
        name
        for service, settings in SETTINGS.items()
        for name in SERVICES[service]["environment"]
        if name.removeprefix(ENV_PREFIX).lower() in settings.model_fields
    }
    assert len(named) > 8
    assert named <= given | {name for name, _ in VARIABLE.findall(BASE)} | OF_THE_IMAGE


@pytest.mark.parametrize("name", SETTINGS)
def test_a_password_is_brought_in_files_by_names_that_settings_know(name: str) -> None:
    secrets = {
        f"{ENV_PREFIX}{field}".lower()
        for field, info in GatewaySettings.model_fields.items()
        if info.annotation is SecretStr
    }
    [first, *rest] = overlay("password")[name]["secrets"]
    assert first == {"source": "redis_url", "target": "fer_redis_url"}
    assert {secret["target"] for secret in (first, *rest)} <= secrets
    assert bool(rest) == (name == "gateway")  # who alone knows the state store


def test_every_secret_of_the_gateway_can_come_in_a_file() -> None:
    given = [
        secret["target"] for name in ("password", "webhook") for secret in overlay(name)["gateway"]["secrets"]
    ]
    secrets = [name for name, field in GatewaySettings.model_fields.items() if field.annotation is SecretStr]
    assert sorted(given) == sorted(f"{ENV_PREFIX}{name}".lower() for name in secrets)


@pytest.mark.parametrize("name", ["redis", "state"])
def test_a_password_changes_nothing_else_of_a_redis(name: str) -> None:
    server, file, *options = overlay("password")[name]["command"]
    assert [server, *options] == SERVICES[name]["command"]
    assert overlay("password")[name]["secrets"] == [file.removeprefix("/run/secrets/")]


def test_passwords_are_made_once_and_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program("openssl")
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([ROOT / "deploy/local/passwords", folder], check=True)
        files = {file.name: file.read_text() for file in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("redis", "state"):
        password = files[f"{name}_conf"].split()[1]
        assert len(password) == 48
        assert files[f"{name}_url"] == f"redis://:{password}@{name}:6379/0\n"
        (tmp_path / f"fer_{name}_url").write_text(files[f"{name}_url"])
    monkeypatch.setenv("FER_SECRETS_DIR", str(tmp_path))
    assert load(GatewaySettings).state_url.get_secret_value() == files["state_url"].strip()
    assert len(files["webhook_secret"].strip()) == 48
    subprocess.run([ROOT / "deploy/local/passwords", folder], check=True)
    assert {file.name: file.read_text() for file in folder.iterdir()} == files


def test_the_door_speaks_https_where_a_certificate_is_mounted() -> None:
    door = overlay("https")["haproxy"]
    [volume] = door["volumes"]
    assert volume["read_only"] is True
    assert volume["bind"] == {"create_host_path": False}  # or a missing file would become a folder
    assert door["environment"] == {"FER_CERTIFICATE": volume["target"]}
    [port] = door["ports"]
    assert port == "${FER_HTTPS_PUBLISH:-127.0.0.1}:${FER_HTTPS_PORT:-8443}:8443"
    config = (ROOT / "deploy/haproxy/haproxy.cfg").read_text()
    bound = re.search(r"\.if defined\(FER_CERTIFICATE\)\n +bind :8443 ssl (.*)\n +\.endif\n", config)
    assert bound
    assert 'crt "${FER_CERTIFICATE}"' in bound[1]


def test_a_local_certificate_is_for_this_machine_and_its_folder_for_its_owner(tmp_path: Path) -> None:
    openssl = program("openssl")
    file = tmp_path / "certs/local.pem"
    made = subprocess.run([ROOT / "deploy/local/cert", file], capture_output=True, text=True, check=True)
    assert f"curl --cacert {file}" in made.stdout
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [left.name for left in file.parent.iterdir()] == ["local.pem"]
    ssl.create_default_context(cafile=str(file)).load_cert_chain(file)
    command = [openssl, "x509", "-in", str(file), "-noout", "-ext", "subjectAltName", "-checkend"]
    said = subprocess.run([*command, str(824 * 86_400)], capture_output=True, text=True, check=True).stdout
    assert "DNS:localhost, IP Address:127.0.0.1" in said
    assert subprocess.run([*command, str(826 * 86_400)], capture_output=True, check=False).returncode == 1
    before = file.read_bytes()
    subprocess.run([ROOT / "deploy/local/cert", file], capture_output=True, check=True)
    assert file.read_bytes() == before


def test_the_gpu_overlay_swaps_in_the_stock_triton_with_plans() -> None:
    triton = overlay("gpu")["triton"]
    assert triton["image"] == "nvcr.io/nvidia/tritonserver:24.10-py3"
    assert triton["build"] is None  # taken back: compose would build over the image
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", triton["user"])
    [volume] = triton["volumes"]
    script = (ROOT / "deploy/triton/build_tensorrt.sh").read_text()
    built = re.search(r"^plans=\$\{2:-\$root/(\S+)\}$", script, re.MULTILINE)
    assert built
    assert volume == f"${{FER_TENSORRT_PLANS:-./{built[1]}}}:/models:ro"
    base_targets = {volume.split(":")[-2] for volume in SERVICES["triton"]["volumes"]}
    assert base_targets == {"/models"}  # so that it takes the place of the models
    [device] = triton["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert "reservations" not in SERVICES["triton"]["deploy"]["resources"]
    assert triton["healthcheck"]["test"][-1].endswith(":8000/v2/health/ready")


@pytest.mark.parametrize("name", ["gateway", "classifier"])
def test_the_default_model_on_a_gpu_is_one_of_which_a_plan_is_built(name: str) -> None:
    [(variable, model)] = VARIABLE.findall(overlay("gpu")[name]["environment"]["FER_MODEL"])
    assert variable == "FER_MODEL"
    card = (ROOT / f"model_repository/emotion_{model}/card.json").read_text()
    assert "python -m training variant " not in card


def test_no_overlay_weakens_what_it_lies_over() -> None:
    for file in OVERLAYS:
        for name, service in overlay(file.stem).items():
            assert name in SERVICES
            assert not service.keys() & {
                "privileged", "cap_add", "cap_drop", "read_only", "security_opt", "networks", "network_mode"
            }  # fmt: skip


def test_the_stack_is_what_the_script_makes_of_compose() -> None:
    assert STACK.read_text() == swarm_build().build(), "run .venv/bin/python deploy/swarm/build.py"


def test_the_stack_says_nothing_that_swarm_does_not_know() -> None:
    stack = yaml.safe_load(STACK.read_text())
    assert stack.keys() == {"services", "networks", "volumes", "configs"}
    assert stack["services"].keys() == {name for name in SERVICES if "profiles" not in SERVICES[name]}
    for name, service in stack["services"].items():
        unknown = {"build", "depends_on", "restart", "profiles", "security_opt", "shm_size", "tmpfs"}
        assert not service.keys() & unknown, name
        assert service["deploy"]["restart_policy"]["condition"] == "any"
        assert service["deploy"]["resources"] == SERVICES[name]["deploy"]["resources"]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service.get("environment") == SERVICES[name].get("environment")
        in_memory = [mount["target"] for mount in service.get("volumes", []) if "type" in mount]
        assert set(SERVICES[name].get("tmpfs", [])) == set(in_memory) - {"/dev/shm"}
        for config in service.get("configs", []):
            assert (STACK.parent / stack["configs"][config["source"]]["file"]).is_file()


def test_the_stack_opens_the_door_alone_and_lets_every_replica_be_found() -> None:
    services = yaml.safe_load(STACK.read_text())["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["haproxy"]
    found = [name for name, service in services.items() if service["deploy"].get("endpoint_mode") == "dnsrr"]
    assert found == [name for name in services if name != "haproxy"]
    networks = yaml.safe_load(STACK.read_text())["networks"]
    assert networks["internal"]["internal"] is True
    assert all("encrypted" in network["driver_opts"] for network in networks.values())

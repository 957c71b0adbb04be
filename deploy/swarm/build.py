"""Write deploy/swarm/stack.yml from docker-compose.yml; CI fails where it differs from what is committed.

Swarm knows no builds, no waiting for health, no profiles and no files of the checkout: what compose says of
these is said in Swarm's own words, or left out, as is all that stands behind a profile.
"""

import hashlib
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

ROOT = Path(__file__).parent.parent.parent
STACK = Path(__file__).parent / "stack.yml"

HEADER = """\
# Written by deploy/swarm/build.py from docker-compose.yml: change that one, and run the script. How to use
# it: docs/operations.md. Differs from compose: the ingress is open on FER_PORT (8080) of every node,
# Prometheus on none; images come from FER_REGISTRY, such as registry.example/, models from a folder of
# every node; `state` and Prometheus stay on managers, with their data; networks are encrypted, for images
# cross them between nodes; Swarm has no no-new-privileges, which each engine's daemon.json may set for all.
# Secrets come by the same overlays, deploy/compose/password.yml and webhook.yml, with FER_SECRETS as an
# absolute path.
"""

Service = dict[str, Any]


def build() -> str:
    """Return the text of the stack."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    configs: dict[str, Any] = {}
    services = {
        name: _service(service, configs)
        for name, service in compose["services"].items()
        if "profiles" not in service
    }
    used = {
        part.partition(":")[0]
        for service in services.values()
        for part in service.get("volumes", [])
        if isinstance(part, str)
    }
    stack = {
        "services": services,
        "networks": {
            name: {"driver": "overlay", "driver_opts": {"encrypted": ""}, **(options or {})}
            for name, options in compose["networks"].items()
        },
        "volumes": {name: {} for name in compose["volumes"] if name in used},
        "configs": configs,
    }
    return HEADER + yaml.dump(stack, Dumper=_Plain, sort_keys=False, width=110)


class _Plain(yaml.SafeDumper):
    """Writes each service out in full: no anchors."""

    @override
    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _service(service: Service, configs: dict[str, Any]) -> Service:
    left_out = {
        "build",
        "depends_on",
        "restart",
        "security_opt",
        "shm_size",
        "tmpfs",
        "ports",
        "volumes",
        "deploy",
    }
    made = {key: value for key, value in service.items() if key not in left_out}
    if "build" in service:
        made["image"] = "${FER_REGISTRY:-}" + service["image"]
    volumes = _volumes(service, configs, made)
    # stack deploy leaves out tmpfs and shm_size without a word
    volumes.extend({"type": "tmpfs", "target": target} for target in service.get("tmpfs", []))
    if "shm_size" in service:
        size = int(service["shm_size"].removesuffix("m")) * 2**20
        volumes.append({"type": "tmpfs", "target": "/dev/shm", "tmpfs": {"size": size}})
    if volumes:
        made["volumes"] = volumes
    deploy = service["deploy"] | {"restart_policy": {"condition": "any", "delay": "1s"}}
    if "edge" in service["networks"] and "internal" not in service["networks"]:  # the ingress
        made["ports"] = ["${FER_PORT:-8080}:8080"]
    else:
        deploy["endpoint_mode"] = "dnsrr"  # HAProxy and Prometheus find each replica by its name
    if any(isinstance(volume, str) and volume[0].isalpha() for volume in volumes):
        deploy["placement"] = {"constraints": ["node.role == manager"]}
    return made | {"deploy": deploy}


def _volumes(service: Service, configs: dict[str, Any], made: Service) -> list[Any]:
    """Return the volumes; files of the checkout become configs, which Swarm hands to every node."""
    volumes = []
    for volume in service.get("volumes", []):
        source, target = volume.removesuffix(":ro").rsplit(":", 1)
        if source.startswith("./"):
            for file in _files(ROOT / source):
                path = target if (ROOT / source).is_file() else f"{target}/{file.name}"
                made.setdefault("configs", []).append({"source": _config(file, configs), "target": path})
        else:  # a stack's paths start at its own folder
            volumes.append(volume.replace(":-./", ":-../../"))
    return volumes


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.iterdir())


def _config(file: Path, configs: dict[str, Any]) -> str:
    """Name a config by its content, too: Swarm changes none, and takes a new name for a new one."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    key = file.name.replace(".", "-")
    configs[key] = {"name": f"fer-{key}-{digest}", "file": f"../../{file.relative_to(ROOT)}"}
    return key


if __name__ == "__main__":
    STACK.write_text(build(), encoding="utf-8")

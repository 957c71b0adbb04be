"""Each lock holds what `pyproject.toml` names for it, with hashes and no address."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENT = PYPROJECT["project"]["dependencies"]
GROUPS = PYPROJECT["dependency-groups"]
LOCKED = ("gateway", "detector", "classifier", "allinone", "cluster", "client", "dev", "training")


def requirements(name: str) -> list[Requirement]:
    """Return what a lock must hold: for the client the project's dependencies, else those of a group."""
    if name == "client":
        return [Requirement(text) for text in CLIENT]
    found = requirements("client") if name == "dev" else []  # the tests need the client
    for entry in GROUPS[name]:
        found += [Requirement(entry)] if isinstance(entry, str) else requirements(entry["include-group"])
    return found


def locked(name: str) -> dict[str, set[str]]:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", text, re.MULTILINE):
        versions.setdefault(canonicalize_name(package), set()).add(version)
    return versions


@pytest.mark.parametrize("name", LOCKED)
def test_the_lock_holds_what_the_project_names_for_it(name):
    versions = locked(name)
    assert requirements(name)
    for requirement in requirements(name):
        found = versions.get(canonicalize_name(requirement.name), set())
        assert any(requirement.specifier.contains(version) for version in found), str(requirement)


@pytest.mark.parametrize("name", [*LOCKED, "triton"])
def test_the_lock_has_hashes_and_no_address(name):
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    entries = re.findall(r"^[A-Za-z0-9._-]+(?:\[[^\]]*\])?==.*(?:\n    .*)*", text, re.MULTILINE)
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "--index" not in text


def test_the_gateway_holds_neither_numpy_nor_opencv():
    assert not {"numpy", "opencv-python-headless", "onnxruntime", "tritonclient"} & set(locked("gateway"))


def test_locks_that_may_share_a_virtual_environment_have_the_same_versions():
    shared = [locked(name) for name in LOCKED if name != "training"]
    for name in set().union(*shared):
        versions = {frozenset(lock[name]) for lock in shared if name in lock}
        assert len(versions) == 1, name

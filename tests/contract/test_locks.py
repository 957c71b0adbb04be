"""Every extra of `pyproject.toml` has a lock that holds what it names, with hashes and no address."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
LOCKED = ("gateway", "detector", "classifier", "allinone", "cluster", "client", "dev", "training")


def requirements(extra: str) -> list[Requirement]:
    """Give what an extra names, itself and through others of this project."""
    found = []
    for text in EXTRAS[extra]:
        requirement = Requirement(text)
        if requirement.name == "fer-cluster":
            for other in requirement.extras:
                found += requirements(other)
        else:
            found.append(requirement)
    return found


def locked(extra: str) -> dict[str, set[str]]:
    text = (ROOT / "requirements" / f"{extra}.lock").read_text()
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", text, re.MULTILINE):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


@pytest.mark.parametrize("extra", LOCKED)
def test_the_lock_holds_what_the_extra_names(extra):
    versions = locked(extra)
    for requirement in requirements(extra):
        found = versions.get(canonicalize_name(requirement.name), set())
        assert any(requirement.specifier.contains(version) for version in found), str(requirement)


@pytest.mark.parametrize("extra", [*LOCKED, "triton"])
def test_the_lock_has_hashes_and_no_address(extra):
    text = (ROOT / "requirements" / f"{extra}.lock").read_text()
    entries = re.findall(r"^[A-Za-z0-9._-]+(?:\[[^\]]*\])?==.*(?:\n    .*)*", text, re.MULTILINE)
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "--index" not in text


def test_the_gateway_holds_neither_numpy_nor_opencv():
    assert not {"numpy", "opencv-python-headless", "onnxruntime", "tritonclient"} & set(locked("gateway"))


def test_locks_that_may_share_a_virtual_environment_have_the_same_versions():
    shared = [locked(extra) for extra in LOCKED if extra != "training"]
    for name in set().union(*shared):
        versions = {frozenset(lock[name]) for lock in shared if name in lock}
        assert len(versions) == 1, name

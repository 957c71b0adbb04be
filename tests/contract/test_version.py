"""The version stands in `fercore/version.py`; what cannot read Python agrees with it."""

import re
import tomllib

import yaml

from fercore.version import VERSION
from tests.support.requires import ROOT

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_the_version_is_semantic() -> None:
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", VERSION)


def test_the_project_takes_its_version_from_the_module() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in settings["project"]
    assert settings["tool"]["hatch"]["version"] == {"path": "fercore/version.py"}


def test_images_built_here_are_tagged_with_the_version() -> None:
    built = {name: service["image"] for name, service in SERVICES.items() if "build" in service}
    assert built == {
        name: f"fer-{name}:${{FER_VERSION:-{VERSION}}}"
        for name in ("gateway", "detector", "classifier", "triton")
    }


def test_the_changelog_has_the_version_or_says_that_it_is_not_released() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == VERSION or (headings[0] == "Unreleased" and VERSION not in headings[2:])

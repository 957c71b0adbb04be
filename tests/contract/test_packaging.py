"""What `pip install .` gives: the client with its types, all that it imports, and nothing that serves."""

import configparser
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser

import pytest
from packaging.requirements import Requirement

from fercore.version import VERSION
from tests.support.requires import ROOT

DIST_INFO = f"fer_cluster-{VERSION}.dist-info"

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import ferclient
for module in pkgutil.walk_packages(ferclient.__path__, "ferclient."):
    importlib.import_module(module.name)
print(*{file for name, found in sys.modules.items() if (file := getattr(found, "__file__", None))}, sep="\\n")
"""
IMPORT_SDK = """
import sys
sys.path.insert(0, sys.argv[1])
import ferclient, ferclient.__main__
print(*sys.modules, sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    # by way of the source distribution, as an index that builds for itself does
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"{DIST_INFO}/METADATA").decode())


def run_with(wheel: zipfile.ZipFile, code: str) -> set[str]:
    """Run Python that sees the wheel and not the checkout, and return the lines that it prints."""
    command = [sys.executable, "-I", "-c", code, str(wheel.filename)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


def test_the_wheel_has_the_name_and_the_version(metadata: Message) -> None:
    assert metadata["Name"] == "fer-cluster"
    assert metadata["Version"] == VERSION
    assert metadata["License-Expression"] == "Apache-2.0"


def test_it_asks_for_what_the_client_needs_and_no_more(metadata: Message) -> None:
    asked = {Requirement(text).name for text in metadata.get_all("Requires-Dist", [])}
    assert asked == {"av", "httpx", "pydantic", "tqdm", "websockets"}


def test_it_brings_the_command(wheel: zipfile.ZipFile) -> None:
    scripts = configparser.ConfigParser()
    scripts.read_string(wheel.read(f"{DIST_INFO}/entry_points.txt").decode())
    assert dict(scripts["console_scripts"]) == {"ferclient": "ferclient.__main__:main"}


def test_it_holds_the_whole_client_its_types_and_no_service(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if not name.startswith(DIST_INFO)}
    client = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ferclient").rglob("*.py")}
    assert client < held
    assert {"ferclient/py.typed", "fercore/py.typed"} <= held
    others = {name for name in held if not name.startswith(("ferclient/", "fercore/contracts/"))}
    assert others == {"fercore/__init__.py", "fercore/py.typed", "fercore/version.py"}


def test_every_module_of_the_client_finds_what_it_imports(wheel: zipfile.ZipFile) -> None:
    files = run_with(wheel, IMPORT_ALL)
    ours = {file for file in files if "/ferclient/" in file or "/fercore/" in file}
    assert any("/fercore/contracts/api.py" in file for file in ours)
    assert {file for file in ours if not file.startswith(f"{wheel.filename}/")} == set()


def test_the_sdk_loads_nothing_that_serves(wheel: zipfile.ZipFile) -> None:
    loaded = run_with(wheel, IMPORT_SDK)
    assert {"ferclient", "httpx", "pydantic"} <= loaded
    assert not loaded & {"fastapi", "starlette", "uvicorn", "redis", "msgspec", "onnxruntime", "numpy", "cv2"}

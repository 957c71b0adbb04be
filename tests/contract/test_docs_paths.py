"""What the documents name is there: files, headings, modules, targets of make."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = [
    *("deploy", "docs", "ferclient", "fercore", "findings", "model_repository", "requirements", "services"),
    *("tests", "training", ".ci", ".github"),
]
DOCUMENTS = [*ROOT.glob("*.md"), *(file for room in ROOMS for file in ROOT.glob(f"{room}/**/*.md"))]

ABSENT = re.compile(r"model_repository/(detector|emotion)_|deploy/(compose/secrets|haproxy/certs)\b")
"""What a command fetches or writes, and a clone lacks."""

LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)#?([^)\s]*)\)")
PATH = re.compile(rf"(?<![\w./-])((?:{'|'.join(map(re.escape, ROOMS))})/[\w./<>*-]*)")
FILE = re.compile(r"`([\w-]+\.py)`")
MODULE = re.compile(r"(?<![\w./-])((?:ferclient|fercore|services|tests|training)(?:\.\w+)+)\b(?!/|\.\w)")
TARGET = re.compile(r"(?:`|\$ )make ([a-z-]+)")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request) -> Path:
    return request.param


@pytest.fixture
def text(document) -> str:
    return document.read_text(encoding="utf-8")


def anchors(document: Path) -> set[str]:
    """Return the anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_to_files_and_headings(document, text):
    for path, anchor in LINK.findall(text):
        linked = document.parent / path if path else document
        assert linked.exists(), path
        assert not anchor or anchor in anchors(linked), f"{path}#{anchor}"


def test_paths_are_there(text):
    for path in PATH.findall(text):
        pattern = re.sub(r"<[^>]*>", "*", path.rstrip("./-"))
        assert ABSENT.match(path) or any(ROOT.glob(pattern)), path


def test_python_files_are_there(text):
    for name in FILE.findall(text):
        assert any(file for room in ROOMS for file in ROOT.glob(f"{room}/**/{name}")), name


def test_modules_are_there(text):
    for module in MODULE.findall(text):
        *package, name = module.split(".")
        folder = ROOT.joinpath(*package)
        is_module = (folder / f"{name}.py").exists() or (folder / name).is_dir()
        sources = [file for file in (folder.with_suffix(".py"), folder / "__init__.py") if file.exists()]
        defines = re.compile(rf"^(?:async def |def |class )?{name}\b", re.MULTILINE)
        assert is_module or name == "csv" or any(defines.search(file.read_text()) for file in sources), module


def test_targets_of_make_are_there(text):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(TARGET.findall(text)) <= set(targets)

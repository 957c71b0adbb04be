"""Read a model repository: which folders are emotion models, and which are broken and why.

Whether a graph loads, only the backend finds out. Blocking I/O; call it once at start.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fercore.contracts.card import ModelCard

FOLDER_PREFIX = "emotion_"
"""Folders with this prefix are emotion models; Triton loads no others."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """One emotion model that may be offered.

    Attributes:
        name: what callers ask for, without `emotion_`.
        folder: what a backend is asked for, e.g. `emotion_cnn3`.
        path: the folder itself.
        card: what the model says of itself.
    """

    name: str
    folder: str
    path: Path
    card: ModelCard


@dataclass(frozen=True, slots=True)
class BrokenModel:
    """A folder that must not be offered, and why, in one line."""

    folder: str
    reason: str


@dataclass(frozen=True, slots=True)
class RepositoryScan:
    """What a repository holds, each part in order of folder name."""

    models: tuple[ModelFolder, ...]
    broken: tuple[BrokenModel, ...]


class _Broken(Exception):
    """The reason why one folder is no model."""


def scan_repository(repository: Path) -> RepositoryScan:
    """Find the emotion models of a repository.

    A broken folder is reported, never raised: one bad export must not take the good models down.

    Raises:
        OSError: the repository itself cannot be listed.
    """
    models: list[ModelFolder] = []
    broken: list[BrokenModel] = []
    for path in sorted(repository.iterdir()):
        if not (path.name.startswith(FOLDER_PREFIX) and path.is_dir()):
            continue
        try:
            models.append(_read_folder(path))
        except _Broken as err:
            broken.append(BrokenModel(path.name, str(err)))
    return RepositoryScan(tuple(models), tuple(broken))


def _read_folder(path: Path) -> ModelFolder:
    name = path.name.removeprefix(FOLDER_PREFIX)
    card = _read_card(path / "card.json")
    if card.name != name:
        raise _Broken(f"card.json names the model {card.name!r}, the folder {name!r}")
    if not (path / "config.pbtxt").is_file():
        raise _Broken("config.pbtxt is missing")
    graph = f"{card.version}/model.onnx"
    try:
        with (path / graph).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as err:
        raise _Broken(f"{graph} is missing") from err
    except OSError as err:
        raise _Broken(f"{graph} cannot be read: {err.strerror}") from err
    if sha256 != card.sha256:
        raise _Broken(f"the SHA-256 of {graph} is {sha256[:12]}..., card.json says {card.sha256[:12]}...")
    return ModelFolder(name, path.name, path, card)


def _read_card(path: Path) -> ModelCard:
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except FileNotFoundError as err:
        raise _Broken("card.json is missing") from err
    except OSError as err:
        raise _Broken(f"card.json cannot be read: {err.strerror}") from err
    except ValidationError as err:
        first = err.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _Broken(f"card.json is invalid: {where}: {' '.join(first['msg'].split())}") from err

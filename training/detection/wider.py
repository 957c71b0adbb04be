"""Read images with face boxes: the layout of `wider_train/` and `wider_val/`.

`boxes.json` holds [x, y, w, h] in pixels of the stored image and WIDER FACE's attributes (Yang et al., CVPR
2016).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fercore.vision.crop import Boxes
from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Scene:
    """One image and its annotated faces.

    Attributes:
        file: the encoded image.
        boxes: float32 [n, 4], x1 y1 x2 y2 in its pixels.
        is_valid: bool [n]; the others cannot be recognised as faces, and count neither way.
    """

    file: Path
    boxes: Boxes
    is_valid: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scenes:
    """All scenes of a folder.

    Attributes:
        sha256: of `boxes.json` and of the images' names and sizes.
        labels: none; a detector has no classes.
    """

    scenes: tuple[Scene, ...]
    sha256: str
    labels: tuple[str, ...] = ()


def read_wider(folder: Path) -> Scenes:
    """Read the scenes of a folder with `boxes.json` and `images/`.

    Raises:
        TrainingError: it is missing, cut short, or lacks a field; or an image is not there.
    """
    file = folder / "boxes.json"
    try:
        content = file.read_bytes()
        scenes = tuple(_parse_scene(folder / "images", image) for image in json.loads(content)["images"])
    except OSError as err:
        raise TrainingError(f"cannot read {file}: {err.strerror} (--data names the data folder)") from err
    except (ValueError, TypeError) as err:
        raise TrainingError(f"{file} is damaged: {err}") from err
    except KeyError as err:
        raise TrainingError(f"{file}: a field {err} is missing") from err
    if not scenes:
        raise TrainingError(f"{file} names no picture")
    for scene in scenes:
        if not scene.file.is_file():
            raise TrainingError(f"{scene.file} is missing")
    digest = hashlib.sha256(content)
    for scene in scenes:
        digest.update(f"{scene.file.name} {scene.file.stat().st_size}\n".encode())
    return Scenes(scenes, digest.hexdigest())


def _parse_scene(folder: Path, image: dict[str, object]) -> Scene:
    faces = image["faces"]
    if not isinstance(faces, list):
        raise TypeError("faces must be a list")
    boxes = np.array([face["box"] for face in faces], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    sides = boxes[:, 2:] - boxes[:, :2]
    is_valid = np.array([not face["invalid"] for face in faces], bool) & (sides > 0).all(axis=1)
    return Scene(folder / str(image["file"]), boxes, is_valid)

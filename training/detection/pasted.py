"""Paste into a view what images rarely show: more faces, and letters and shapes that are not faces.

What is pasted has no label: only a dense teacher, which sees the view itself, can label a cell.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from fercore.vision.crop import RgbImage
from training.detection.views import Sample

Tiles = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789&?!@"))
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
MOST = 4
"""Faces, or drawn things, at most."""

SMALLEST_PX = 12


@dataclass(frozen=True, slots=True)
class Paste:
    """What is pasted, and how often.

    Attributes:
        faces: uint8 [n, h, w] grey or [n, h, w, 3] RGB.
        face_share: of the views that get faces.
        drawn_share: of the views that get letters and shapes.
    """

    faces: Tiles
    face_share: float
    drawn_share: float

    def apply(self, view: Sample, random: np.random.Generator) -> Sample:
        """Return the view with random pastes; its boxes stay as they were."""
        image = view.image
        if random.random() < self.drawn_share:
            image = image.copy()
            for _ in range(random.integers(1, MOST + 1)):
                _draw(image, random)
        if random.random() < self.face_share:
            image = image.copy()
            for row in random.integers(0, len(self.faces), random.integers(1, MOST + 1)):
                _paste(image, self.faces[row], random)
        return replace(view, image=image)


def _choose_length(side_px: int, random: np.random.Generator) -> int:
    """Choose one evenly in log scale, up to half a side."""
    return int(np.exp(random.uniform(np.log(SMALLEST_PX), np.log(side_px / 2))))


def _paste(image: RgbImage, face: Tiles, random: np.random.Generator) -> None:
    """Blend a face in, mostly tinted like skin and with soft edges, in place."""
    side_px = len(image)
    length = _choose_length(side_px, random)
    way = cv2.INTER_AREA if length < len(face) else cv2.INTER_LINEAR
    shrunk = cv2.resize(face, (length, length), interpolation=way).astype(np.float32)
    if random.random() < 0.5:
        shrunk = shrunk[:, ::-1]
    coloured = shrunk.reshape(length, length, -1)
    tint = np.array([1.1, random.uniform(0.75, 1), random.uniform(0.55, 1)], np.float32)
    if random.random() < 0.7:
        coloured = np.clip(coloured * tint, 0, 255)
    x, y = random.integers(0, side_px - length, 2)
    place = image[y : y + length, x : x + length]
    mask = _make_mask(length) if random.random() < 0.7 else 1.0
    place[:] = (coloured * mask + place * (1 - mask)).astype(np.uint8)


def _make_mask(length: int) -> npt.NDArray[np.float32]:
    """Return the weights of a square's pixels, [length, length, 1]: 1 in its oval, 0 in its corners."""
    across = np.linspace(-1, 1, length)
    distance = np.hypot(across[:, None], across[None] * 1.15)
    return np.clip((1.1 - distance) / 0.25, 0, 1).astype(np.float32)[:, :, None]


def _choose_colour(random: np.random.Generator) -> Colour:
    """Choose any colour, half of the time one that skin could have."""
    if random.random() < 0.5:
        red, green, blue = random.integers(0, 256, 3)
    else:
        hue, saturation, value = random.integers(0, 22), random.integers(40, 230), random.integers(90, 256)
        pixel = np.array([[[hue, saturation, value]]], np.uint8)
        red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return int(red), int(green), int(blue)


def _draw(image: RgbImage, random: np.random.Generator) -> None:
    """Draw a word, an ellipse, a disc with spots or a polygon, outlined half of the time, in place."""
    side_px = len(image)
    length = _choose_length(side_px, random)
    x, y = (int(value) for value in random.integers(0, side_px, 2))
    fill, edge = _choose_colour(random), _choose_colour(random)
    rim = int(random.integers(1, 2 + length // 10)) if random.random() < 0.5 else 0
    kind = random.integers(0, 4)
    if kind == 0:
        word = "".join(random.choice(LETTERS, random.integers(1, 10)))
        font, scale = FONTS[random.integers(0, len(FONTS))], length / 25
        thick = int(random.integers(1, 2 + length // 5))
        if rim:
            cv2.putText(image, word, (x - length, y), font, scale, edge, thick + 2 * rim, cv2.LINE_AA)
        cv2.putText(image, word, (x - length, y), font, scale, fill, thick, cv2.LINE_AA)
    elif kind == 1:
        axes = (length // 2, int(length * random.uniform(0.25, 0.7)))
        angle = float(random.uniform(0, 180))
        cv2.ellipse(image, (x, y), axes, angle, 0, 360, fill, -1, cv2.LINE_AA)
        if rim:
            cv2.ellipse(image, (x, y), axes, angle, 0, 360, edge, rim, cv2.LINE_AA)
    elif kind == 2:
        cv2.circle(image, (x, y), length // 2, fill, -1, cv2.LINE_AA)
        for _ in range(random.integers(1, 5)):
            spot = random.uniform(-0.3, 0.3, 2) * length
            radius = max(1, int(length * random.uniform(0.03, 0.15)))
            cv2.circle(image, (x + int(spot[0]), y + int(spot[1])), radius, edge, -1, cv2.LINE_AA)
    else:
        corners = random.uniform(-0.5, 0.5, (random.integers(3, 7), 2)) * length
        corners = (corners + np.array([x, y])).astype(np.int32)
        cv2.fillPoly(image, [corners], fill, cv2.LINE_AA)
        if rim:
            cv2.polylines(image, [corners], isClosed=True, color=edge, thickness=rim, lineType=cv2.LINE_AA)

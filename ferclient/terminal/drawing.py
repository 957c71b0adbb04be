"""Draw faces on an image: box, face id, emotion and score.

Images are OpenCV's own: uint8 [height, width, 3], BGR. Needs OpenCV.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.api import Face
from fercore.contracts.emotions import Emotion
from fercore.contracts.live import LiveFace

BgrImage: TypeAlias = npt.NDArray[np.uint8]

COLOURS: dict[Emotion, tuple[int, int, int]] = {
    Emotion.NEUTRAL: (190, 190, 190),
    Emotion.HAPPINESS: (113, 204, 46),
    Emotion.SURPRISE: (18, 196, 241),
    Emotion.SADNESS: (219, 152, 52),
    Emotion.ANGER: (60, 76, 231),
    Emotion.DISGUST: (128, 160, 22),
    Emotion.FEAR: (182, 89, 155),
    Emotion.CONTEMPT: (34, 126, 230),
}
"""BGR; all are light enough for dark letters."""

DARK, WARNING = (25, 25, 25), (60, 76, 231)
LETTER_SCALE = 0.55
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_faces(image: BgrImage, faces: Sequence[Face]) -> None:
    """Draw on the image itself; what is uncertain has a thin box and a question mark."""
    unit = _unit(image)
    for face in sorted(faces, key=lambda face: face.box.width * face.box.height):  # the largest on top
        followed = face.smoothed if isinstance(face, LiveFace) else face
        colour = COLOURS[followed.emotion]
        left, top = round(face.box.x), round(face.box.y)
        right, bottom = round(face.box.x + face.box.width), round(face.box.y + face.box.height)
        thickness = max(1, round((1 if face.uncertain else 2.5) * unit))
        cv2.rectangle(image, (left, top), (right, bottom), colour, thickness, cv2.LINE_AA)
        name = f"{face.face_id} " if isinstance(face, LiveFace) else ""
        doubt = "?" if face.uncertain else ""
        text = f"{name}{followed.emotion} {followed.score:.2f}{doubt}"
        _label(image, text, left, top, colour, room_px=1.2 * face.box.width)


def draw_notice(image: BgrImage, text: str) -> None:
    """Draw one line at the lower edge: why there is no answer for this frame."""
    _label(image, text, 0, image.shape[0], WARNING)


def draw_file(source: Path, faces: Sequence[Face], target: Path) -> None:
    """Read an image upright, as the server does, and write it with its faces.

    Raises:
        OSError: it cannot be read or written.
    """
    image = cv2.imdecode(np.fromfile(source, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise OSError(f"OpenCV cannot read {source}")
    drawn = np.asarray(image, np.uint8)
    draw_faces(drawn, faces)
    _, data = cv2.imencode(target.suffix, drawn)
    data.tofile(target)


def _label(
    image: BgrImage,
    text: str,
    left: int,
    bottom: int,
    colour: tuple[int, int, int],
    *,
    room_px: float = math.inf,
) -> None:
    """Write dark letters on a bar whose lower left corner is given, moved into the image.

    Letters are made smaller, to a half, where there is less room, so that labels of a crowd do not overlap.
    """
    unit = _unit(image)
    (full_width, _), _ = cv2.getTextSize(text, FONT, LETTER_SCALE * unit, 1)
    unit *= min(1.0, max(0.5, room_px / full_width))
    scale, thickness, margin = LETTER_SCALE * unit, max(1, round(1.3 * unit)), round(4 * unit)
    (width, height), below = cv2.getTextSize(text, FONT, scale, thickness)
    left = max(0, min(left, image.shape[1] - width - 2 * margin))
    bottom = max(bottom, height + below + 2 * margin)
    top = bottom - height - below - 2 * margin
    cv2.rectangle(image, (left, top), (left + width + 2 * margin, bottom), colour, cv2.FILLED)
    place = (left + margin, bottom - below - margin)
    cv2.putText(image, text, place, FONT, scale, DARK, thickness, cv2.LINE_AA)


def _unit(image: BgrImage) -> float:
    """Return what one pixel of a 640-pixel image is here, so that letters are as large on any screen."""
    return float(np.clip(max(image.shape[:2]) / 640, 0.6, 6))

"""Align a face by its landmarks: they say how the crop is turned and where its centre lies.

The side stays the calibrated one of the box. Compared with other ways by `python -m training alignment
model_repository/emotion_resnet15_int8 --detector yunet`; the figures: docs/detectors.md.
"""

from cmath import phase

import numpy as np
import numpy.typing as npt

from fercore.vision.crop import Framing, Square, canonical_square

Points = npt.NDArray[np.float32]
"""Five landmarks, float32 [5, 2], x y in pixels of the source image, in the order of `Detections`."""


def aligned_square(box: npt.NDArray[np.float32], landmarks: Points | None, framing: Framing) -> Square:
    """Return the square to crop a detected face by, so that the face is level in the crop and in its middle.

    Args:
        box: float32 [4], x1 y1 x2 y2 in source pixels.
        landmarks: None where there are none; the square then is that of the box.
        framing: the detector's own.
    """
    square = canonical_square(box, framing)
    if landmarks is None or framing.points is None:
        return square
    turned = similarity_square(landmarks, framing.points)
    return square if turned is None else Square.around(turned.centre, square.side, turned.tilt)


def similarity_square(landmarks: Points, canonical: tuple[tuple[float, float], ...]) -> Square | None:
    """Return the square in which the landmarks lie closest to their canonical places.

    That is the similarity transform of least squares (Umeyama, IEEE PAMI 13, 1991). In the plane, with points
    as complex numbers, it has a closed form: about their means, the found points are the canonical ones times
    sum(conj(canonical) * found) / sum(|canonical|^2), whose size is the side and whose phase is the turn.

    Args:
        landmarks: of one face.
        canonical: `Framing.points`.

    Returns:
        None where the landmarks coincide, so that they have no direction.
    """
    found, wanted = _complex(landmarks), _complex(canonical)
    spread = wanted - wanted.mean()
    turn = complex((spread.conj() * (found - found.mean())).sum() / (abs(spread) ** 2).sum())
    if not abs(turn) > 0:
        return None
    centre = complex(found.mean() + turn * (0.5 + 0.5j - wanted.mean()))
    return Square.around((centre.real, centre.imag), abs(turn), phase(turn))


def _complex(points: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    pairs = np.asarray(points, np.float64)
    return np.asarray(pairs[:, 0] + 1j * pairs[:, 1])

"""Measure how a detector's boxes and landmarks relate to a data set's frames, so that serving crops alike."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fercore.vision.crop import Framing, RgbImage
from fercore.vision.detection import Detector
from training.errors import TrainingError

ENLARGED_SIDE_PX = 192
"""Tiles are enlarged to this side, about that of a face in a camera image."""

PADDING_PX = 96
"""Repeated edge on every side, for detectors that need surroundings."""


@dataclass(frozen=True, slots=True)
class FramingMeasurement:
    """The relation of boxes and landmarks to frames over many tiles.

    Attributes:
        framing: medians; `points` where the detector finds landmarks.
        quartiles: float64 [2, 3], first and third quartile of scale, dx, dy.
        tiles: how many there are.
        found: tiles in which exactly one face above the score bound was found.
    """

    framing: Framing
    quartiles: npt.NDArray[np.float64]
    tiles: int
    found: int


def measure_framing(
    tiles: npt.NDArray[np.uint8], detector: Detector, *, min_score: float
) -> FramingMeasurement:
    """Run a detector over framed faces and compare its box and landmarks with the frame.

    Args:
        tiles: uint8 [n, h, h] grey or [n, h, h, 3] RGB.
        detector: its own `framing` plays no part.
        min_score: detections below it do not count.

    Raises:
        TrainingError: no face was found at all.
    """
    relations, places = [], []
    for tile in tqdm(tiles, desc="detecting", unit="tile"):
        found = detector.detect(surround(tile), min_face_px=ENLARGED_SIDE_PX // 4)
        likely = np.flatnonzero(found.scores >= min_score)
        if len(likely) == 1:
            relations.append(_relate(found.boxes[likely[0]].astype(np.float64)))
            if found.landmarks is not None:
                places.append((found.landmarks[likely[0]].astype(np.float64) - PADDING_PX) / ENLARGED_SIDE_PX)
    if not relations:
        raise TrainingError("the detector found no face in any tile")
    first, median, third = np.percentile(np.array(relations), [25, 50, 75], axis=0)
    points = tuple((float(x), float(y)) for x, y in np.median(places, axis=0)) if places else None
    return FramingMeasurement(
        Framing(scale=float(median[0]), dx=float(median[1]), dy=float(median[2]), points=points),
        np.array([first, third]),
        len(tiles),
        len(relations),
    )


def surround(tile: npt.NDArray[np.uint8]) -> RgbImage:
    """Enlarge a tile, uint8 [h, h] grey or [h, h, 3] RGB, and repeat its edges around it."""
    rgb = tile if tile.ndim == 3 else np.repeat(tile[:, :, None], 3, axis=2)
    large = cv2.resize(rgb, (ENLARGED_SIDE_PX, ENLARGED_SIDE_PX), interpolation=cv2.INTER_CUBIC)
    beyond = (PADDING_PX, PADDING_PX)
    return np.asarray(np.pad(large, (beyond, beyond, (0, 0)), mode="edge"), dtype=np.uint8)


def _relate(box: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    longer = max(box[2] - box[0], box[3] - box[1])
    centre = PADDING_PX + ENLARGED_SIDE_PX / 2
    return (
        ENLARGED_SIDE_PX / longer,
        (centre - (box[0] + box[2]) / 2) / longer,
        (centre - (box[1] + box[3]) / 2) / longer,
    )

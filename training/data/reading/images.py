"""Turn image files into tiles: decoded as serving decodes, cropped by a function of serving."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fercore.contracts.card import FACE_SIZE
from fercore.contracts.errors import FerError
from fercore.vision.align import aligned_square
from fercore.vision.crop import FaceCrop, RgbImage, crop_face, crop_whole
from fercore.vision.decode import decode
from fercore.vision.detection import Detector
from training.data.primary_face import find_primary_face
from training.data.reading.files import FileReader
from training.errors import TrainingError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
MIN_SIDE_PX = 24
"""No expression can be recognised in a smaller image."""

Crop = Callable[[RgbImage], FaceCrop | None]
"""Gives the canonical crop of an image, or None where it finds no face."""


def is_image(path: Path) -> bool:
    """Return whether a file is an image, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def read_image(path: Path, reader: FileReader) -> RgbImage:
    """Decode one file to upright RGB.

    Raises:
        TrainingError: it cannot be read, is cut short, does not decode or is smaller than any face.
    """
    data = reader.read(path)
    # OpenCV fills the rest of a JPEG that is cut short with grey, without an error
    if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise TrainingError(f"{path}: the picture is cut short")
    try:
        image = decode(data)
    except FerError as err:
        raise TrainingError(f"{path}: the picture does not decode ({err})") from err
    if min(image.shape[:2]) < MIN_SIDE_PX:
        raise TrainingError(
            f"{path}: {_format_size(image)} pixels are too few (at least {MIN_SIDE_PX} a side)"
        )
    return image


def open_image(path: Path) -> RgbImage:
    """Decode a file that belongs to no data set of emotions; raises as `read_image`."""
    return read_image(path, FileReader(path.parent))


def read_grey_tiles(paths: Sequence[Path], reader: FileReader, side_px: int) -> npt.NDArray[np.uint8]:
    """Read grey tiles of one size, uint8 [n, side_px, side_px].

    Raises:
        TrainingError: as `read_image`, or one has another size.
    """
    tiles = np.empty((len(paths), side_px, side_px), np.uint8)
    for index, path in enumerate(tqdm(paths, desc="reading images", unit="image")):
        image = read_image(path, reader)
        check_size(path, image, side_px)
        is_grey = (image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all()
        tiles[index] = image[..., 0] if is_grey else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return tiles


def read_crops(
    paths: Sequence[Path], reader: FileReader, crops: Sequence[Crop] | None = None, side_px: int | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Crop images of any size with a function of serving, once; cropping the crops again changes nothing.

    Args:
        paths: the files.
        reader: reads them.
        crops: one an image; `crop_whole`, for images that are framed already, where it is None.
        side_px: every image must have this side, where it is given.

    Returns:
        uint8 [n, 112, 112, 3], RGB, and whether a face was found in each, bool [n].

    Raises:
        TrainingError: as `read_image`, or one has another size.
    """
    tiles = np.zeros((len(paths), FACE_SIZE, FACE_SIZE, 3), np.uint8)
    is_found = np.zeros(len(paths), np.bool_)
    for index, path in enumerate(tqdm(paths, desc="reading images", unit="image")):
        image = read_image(path, reader)
        if side_px is not None:
            check_size(path, image, side_px)
        face = crop_whole(image) if crops is None else crops[index](image)
        if face is not None:
            tiles[index], is_found[index] = face, True
    return tiles, is_found


def check_size(path: Path, image: RgbImage, side_px: int) -> None:
    """Check that an image is a square of `side_px`.

    Raises:
        TrainingError: it is not.
    """
    if image.shape[:2] != (side_px, side_px):
        raise TrainingError(f"{path}: {_format_size(image)} pixels instead of {side_px}x{side_px}")


def make_face_crop(detector: Detector) -> Crop:
    """Return a function that crops the primary face of an image, found and framed as in serving."""

    def crop(image: RgbImage) -> FaceCrop | None:
        face = find_primary_face(detector, image)
        return None if face is None else crop_face(image, aligned_square(*face, detector.framing))

    return crop


def _format_size(image: RgbImage) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"

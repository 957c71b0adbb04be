"""Compare ways to frame detected faces by how often a model answers them rightly.

The faces are the PublicTest tiles of FER+, enlarged and with repeated edge around them, or the portraits of
four expressions, whole; each is detected, framed in each way and cropped again. Missed faces are counted
separately. Choose by PublicTest; PrivateTest plays no part. `--enlarged` takes the squares larger or smaller
than calibrated: the best framing is where the model answers best. `--turned` turns the images first.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fercore.contracts.emotions import Emotion
from fercore.vision.crop import RgbImage
from training.commands import arguments
from training.config import DataConfig
from training.data.detectors import make_detector
from training.data.load import load_data
from training.measuring.alignment import WAYS, Images, crop_located, locate
from training.measuring.evaluate import select_judged
from training.measuring.framing import surround
from training.measuring.metrics import Labels
from training.measuring.models import open_model
from training.measuring.portraits import FOUR, load_portraits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_detection(parser)
    parser.add_argument(
        "--faces", choices=("publictest", "portraits"), default="publictest", help="default: %(default)s"
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="default: all")
    parser.add_argument("--enlarged", nargs="+", type=float, default=[1.0], help="default: 1, as calibrated")
    parser.add_argument("--turned", type=float, default=0.0, help="degrees (default: %(default)s)")
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    model = open_model(options.model, threads=1)
    detector = make_detector(options.detector, options.repository)
    load = _load_portraits if options.faces == "portraits" else _load_tiles
    images, labels, emotions = load(options.data)
    if options.turned:
        images = [partial(_turn, image, options.turned) for image in images]
    located = locate(images, detector, min_score=options.min_score, min_face_px=options.min_face_px)
    labels = labels[located.places]
    print(f"a face found in {len(labels)} of {len(images)} images")
    print(f"{'way':28} enlarged  accuracy  mean recall")
    for way in options.ways:
        for enlarged in options.enlarged:
            crops = crop_located(images, located, WAYS[way], detector.framing, enlarged=enlarged)
            answers = model.choose(crops, emotions)
            accuracy = (answers == labels).mean()
            recall = np.mean([(answers[labels == label] == label).mean() for label in np.unique(labels)])
            print(f"{way:28} {enlarged:8.2f}  {accuracy:8.4f}  {recall:11.4f}", flush=True)


def _load_tiles(data: Path) -> tuple[Images, Labels, tuple[Emotion, ...]]:
    faces = load_data(DataConfig(name="fer_plus"), data)
    judged = select_judged(faces.splits["validation"])
    return [partial(surround, tile) for tile in judged.tiles], judged.majority, faces.labels


def _load_portraits(data: Path) -> tuple[Images, Labels, tuple[Emotion, ...]]:
    return *load_portraits(data), FOUR


def _turn(load: Callable[[], RgbImage], degrees: float) -> RgbImage:
    """Turn an image clockwise about its middle and repeat its edge."""
    image = load()
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)

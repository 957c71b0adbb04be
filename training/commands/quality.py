"""Measure how accurate a model is on faces of poor quality: small, blurred, dark, pale, overexposed, turned.

PublicTest tiles of FER+ are degraded step by step. Each step's line gives the median of the measure that
serving reports as `quality`, the model's accuracy, and which part that is of its accuracy on the tiles as
they are. A bound is where the part is 0.75; with --write the bounds become those of the model's card, by
which the classifier judges faces. With --detector, accuracy by estimated pose follows, on enlarged tiles.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from fercore.contracts.messages import FaceQuality, HeadPose
from fercore.vision.align import aligned_square
from fercore.vision.crop import crop_whole
from fercore.vision.detection import Detector
from fercore.vision.quality import assess, estimate_pose
from training.commands import arguments
from training.config import DataConfig
from training.data.detectors import make_detector
from training.data.faces import Faces
from training.data.load import load_data
from training.data.primary_face import MIN_SCORE
from training.errors import TrainingError
from training.measuring.alignment import crop_located, locate
from training.measuring.degradations import DEGRADATIONS, Tile, choose_strictest, find_bound
from training.measuring.evaluate import select_judged
from training.measuring.framing import surround
from training.measuring.graphs import Crops
from training.measuring.metrics import Labels
from training.measuring.models import CARD, open_model, read_card, write_card

POSE_EDGES = (0, 5, 10, 15, 20, 30, 90)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_model(parser)
    parser.add_argument("--detector", help="one that finds landmarks; default: pose is not measured")
    arguments.add_tiles(parser, 1600)
    parser.add_argument(
        "--write", action="store_true", help="put the bounds into the model folder's card.json"
    )
    arguments.add_repository(parser)
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    model = open_model(options.model, threads=1)
    card = read_card(options.model) if options.write else None
    data = load_data(DataConfig(name="fer_plus"), options.data)
    judged = select_judged(data.splits["validation"])
    chosen = np.zeros(len(judged), np.bool_)
    chosen[np.linspace(0, len(judged) - 1, options.tiles).astype(int)] = True
    faces = judged.select(chosen)

    def answer(crops: Crops) -> Labels:
        return model.choose(crops, data.labels)

    as_it_is = _assess(faces.tiles)
    accuracy = float((answer(as_it_is[0]) == faces.majority).mean())
    print(f"{len(faces)} tiles, accuracy {accuracy:.3f}")
    found: list[tuple[str, float]] = []
    for name, degradation in DEGRADATIONS.items():
        measured, accuracies = [_find_median(as_it_is[1], degradation.measure)], [accuracy]
        for step in degradation.steps:
            crops, qualities = _assess([degradation.apply(tile, step) for tile in faces.tiles])
            measured.append(_find_median(qualities, degradation.measure))
            accuracies.append(float((answer(crops) == faces.majority).mean()))
        print(f"\n{name:16} median  accuracy  of its own level")
        for level, median, right in zip(("as it is", *degradation.steps), measured, accuracies, strict=True):
            print(f"  {level!s:14} {median:6.3f}  {right:8.3f}  {right / accuracy:6.3f}")
        bound = find_bound(measured, accuracies)
        print(f"  bound {bound}", flush=True)
        if bound is not None:
            found.append((degradation.bound, bound))
    bounds = choose_strictest(found)
    print(f"\nbounds {bounds.model_dump_json()}")
    if card is not None:
        write_card(options.model, card.model_copy(update={"quality_bounds": bounds}))
        print(f"written to {options.model / CARD}")
    if options.detector:
        _print_pose(faces, make_detector(options.detector, options.repository), answer)


def _assess(tiles: Sequence[Tile] | Tile) -> tuple[Crops, list[FaceQuality]]:
    """Crop framed tiles as serving does, and measure the crops."""
    crops = np.stack([crop_whole(np.repeat(tile[:, :, None], 3, axis=2)) for tile in tiles])
    qualities = [
        assess(crop, size_px=len(tile), landmarks=None, points=None)
        for crop, tile in zip(crops, tiles, strict=True)
    ]
    return crops, qualities


def _find_median(qualities: Sequence[FaceQuality], measure: Callable[[FaceQuality], float]) -> float:
    return float(np.median([measure(quality) for quality in qualities]))


def _print_pose(faces: Faces, detector: Detector, answer: Callable[[Crops], Labels]) -> None:
    if detector.framing.points is None:
        raise TrainingError("this detector finds no landmarks: choose one whose framing has `points`")
    images = [partial(surround, tile) for tile in faces.tiles]
    located = locate(images, detector, min_score=MIN_SCORE, min_face_px=1)
    crops = crop_located(images, located, aligned_square, detector.framing)
    is_right = answer(crops) == faces.majority[located.places]
    poses = [
        estimate_pose(landmarks, detector.framing.points)
        for landmarks in located.landmarks
        if landmarks is not None
    ]
    for name in HeadPose.__struct_fields__:
        angles = np.abs([0.0 if pose is None else getattr(pose, name) for pose in poses])
        print(f"\n{name + ' (degrees)':16} faces  accuracy  of the level of all")
        for low, high in pairwise(POSE_EDGES):
            chosen = is_right[(angles >= low) & (angles < high)]
            if len(chosen):
                right = chosen.mean()
                print(
                    f"  {f'{low} to {high}':14} {len(chosen):6}  {right:8.3f}  {right / is_right.mean():6.3f}"
                )

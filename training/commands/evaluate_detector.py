"""Measure a face detector on annotated images: precision, recall, average precision at IoU 0.5.

Faces count from each of the --min-face-px sizes on (longer side, in pixels of the stored image). A
detection on a smaller or invalid face counts neither way, nor does a false one that is itself smaller. The
detector is shown what serving shows it. --photos adds images whose faces were marked by hand, --report
writes curves as PNG and all figures as JSON, --beside times the detector and others in turn, on one thread.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fercore.vision.crop import RgbImage
from fercore.vision.detection import DETECT_SIZE_PX, Detections, Detector, detect_in
from fercore.vision.image import DecodedImage
from fercore.vision.letterbox import LARGEST_SIDE_PX
from training.commands import arguments
from training.data.detectors import make_detector
from training.data.primary_face import MIN_SCORE
from training.data.reading.images import open_image
from training.detection.marks import TURNED, Count, count_photos, count_video
from training.detection.precision import PrecisionRecall, draw_curves, measure
from training.detection.wider import read_wider
from training.learning.atomic import write_atomic
from training.learning.provenance import describe_provenance
from training.learning.run_folder import write_text
from training.measuring.timing import time_detectors

TIMED_SIZE = (480, 640)
SMALLEST_FACE_PX = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("detector", help="a file in services/detector/detectors/")
    parser.add_argument(
        "--dataset", default="wider_val", help="folder with boxes.json (default: %(default)s)"
    )
    parser.add_argument(
        "--size",
        type=_parse_side_px,
        default=DETECT_SIZE_PX,
        help="longer side shown to it, px (default: %(default)s)",
    )
    parser.add_argument("--min-face-px", type=int, nargs="+", default=[40, 20], help="default: %(default)s")
    parser.add_argument(
        "--min-score",
        type=float,
        default=MIN_SCORE,
        help="precision and recall are given at it (default: %(default)s)",
    )
    parser.add_argument("--beside", nargs="*", default=[], metavar="DETECTOR", help="time these too, in turn")
    parser.add_argument(
        "--photos", action="store_true", help="count faces in photos/ and in a video without any, too"
    )
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write curves and figures here")
    arguments.add_repository(parser)
    arguments.add_data(parser)


def _parse_side_px(text: str) -> int:
    if not (text.isdigit() and 0 < (side := int(text)) <= LARGEST_SIDE_PX):
        raise argparse.ArgumentTypeError(f"{text!r} is no side from 1 to {LARGEST_SIDE_PX} px")
    return side


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    detector = make_detector(options.detector, options.repository)
    data = read_wider(options.data / options.dataset)
    found, timed_image = _find(detector, [scene.file for scene in data.scenes], options.size)
    curves = {limit: measure(data.scenes, found, min_face_px=limit) for limit in options.min_face_px}
    for limit, curve in curves.items():
        precision, recall = curve.at(options.min_score)
        print(
            f"{options.detector} on {options.dataset}, {curve.faces} faces of {limit} px and more: "
            f"AP {curve.average_precision:.4f}; at score {options.min_score:g}: "
            f"precision {precision:.4f}, recall {recall:.4f}"
        )
    counts = _count(detector, options) if options.photos else []
    times = _time(detector, timed_image, options)
    if options.report:
        _write(options, curves, counts, times)


def _find(detector: Detector, files: list[Path], size: int) -> tuple[list[Detections], RgbImage]:
    found = []
    for file in tqdm(files, desc="detecting", unit="image"):
        image = DecodedImage.in_full(open_image(file))
        found.append(detect_in(detector, image, min_face_px=SMALLEST_FACE_PX, longer_side_px=size))
    height, width = TIMED_SIZE
    timed = cv2.resize(image.pixels, (width, height), interpolation=cv2.INTER_AREA)
    return found, np.asarray(timed, np.uint8)


def _count(detector: Detector, options: argparse.Namespace) -> list[Count]:
    bounds = {"min_score": options.min_score, "size": options.size}
    counts = count_photos(detector, options.data, **bounds)
    counts.append(count_video(detector, options.data, **bounds))
    for count in counts:
        turned = " turned" if count.name in TURNED else ""
        print(f"  {count.name:38} {count.found:3} of {count.marked}{turned}, {count.false} false")
    frontal = [count for count in counts if count.name not in TURNED]
    found, marked = sum(count.found for count in frontal), sum(count.marked for count in frontal)
    print(f"{found} of {marked} frontal faces found, {sum(count.false for count in counts)} false ones")
    return counts


def _time(detector: Detector, image: RgbImage, options: argparse.Namespace) -> dict[str, float]:
    if not options.beside:
        return {}
    detectors = {options.detector: detector}
    detectors.update({name: make_detector(name, options.repository) for name in options.beside})
    times = time_detectors(detectors, image)
    for name, median_ms in times.items():
        ratio = median_ms / times[options.beside[0]]
        print(
            f"{name:12} {median_ms:7.2f} ms at {TIMED_SIZE[1]}x{TIMED_SIZE[0]}, one thread; "
            f"{ratio:.2f}x {options.beside[0]}"
        )
    return times


def _write(
    options: argparse.Namespace,
    curves: dict[int, PrecisionRecall],
    counts: list[Count],
    times: dict[str, float],
) -> None:
    options.report.mkdir(parents=True, exist_ok=True)
    name = f"{options.detector}_{options.dataset}_{options.size}"
    drawn = draw_curves(curves, f"{options.detector} on {options.dataset}")
    write_atomic(options.report / f"{name}.png", drawn)
    figures = {
        **describe_provenance(options.command_line),
        "faces": {
            limit: {
                "count": curve.faces,
                "average_precision": round(curve.average_precision, 4),
                "precision": [round(float(value), 4) for value in curve.precision],
                "recall": [round(float(value), 4) for value in curve.recall],
                "score": [round(float(value), 4) for value in curve.scores],
            }
            for limit, curve in curves.items()
        },
        "photographs": [asdict(count) | {"missed": count.missed} for count in counts],
        "median_ms": times,
    }
    write_text(options.report / f"{name}.json", json.dumps(figures) + "\n")
    print(f"wrote {options.report / name}.png and .json")

"""Measure a detector, its framing and a model together on the portraits of four expressions.

An answer is the likeliest of the four. What is found, and how often the answer is right, are given apart;
over all portraits, a missed face is a wrong answer.
"""

import argparse
from pathlib import Path

import numpy as np

from fercore.vision.align import aligned_square
from training.alignment import crop_located, locate
from training.commands import locations
from training.likeliest import MIN_FACE_PX, MIN_SCORE
from training.local_models import open_model
from training.plugins import make_detector
from training.portraits import FOUR, load_portraits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", type=Path, help="a model folder such as model_repository/emotion_cnn3")
    parser.add_argument("--detector", required=True, help="a file in services/detector/detectors/")
    parser.add_argument("--min-score", type=float, default=MIN_SCORE, help="default: %(default)s")
    parser.add_argument("--min-face-px", type=int, default=MIN_FACE_PX, help="default: %(default)s")
    parser.add_argument(
        "--repository", type=Path, default=locations.REPOSITORY, help="for its weights (default: %(default)s)"
    )
    locations.add_data_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    detector = make_detector(options.detector, options.repository)
    model = open_model(options.model, threads=1)
    pictures, labels = load_portraits(options.data)
    located = locate(pictures, detector, min_score=options.min_score, min_face_px=options.min_face_px)
    answers = model.choose(crop_located(pictures, located, aligned_square, detector.framing), FOUR)
    shown, missed = labels[located.places], np.delete(labels, located.places)
    is_right = answers == shown
    print(f"a face found in {len(shown)} of {len(labels)} portraits")
    print(f"accuracy over those {is_right.mean():.4f}, over all {is_right.sum() / len(labels):.4f}")
    for label, emotion in enumerate(FOUR):
        of_these = answers[shown == label]
        shares = (f"{other} {int((of_these == number).sum())}" for number, other in enumerate(FOUR))
        recall = f"{(of_these == label).mean():.4f}" if len(of_these) else "none found"
        print(
            f"  {emotion:<10} recall {recall}, missed {int((missed == label).sum())},"
            f" answered {', '.join(shares)}"
        )

"""Measure a detector, its framing and a model together on the portraits of four expressions.

An answer is the top one of the four. Faces found and right answers are reported separately:
recalls are of the faces found; over all portraits, a missed face is a wrong answer. Shares have 95 %
bootstrap intervals.
"""

import argparse

import numpy as np
import numpy.typing as npt

from fercore.vision.align import aligned_square
from training.commands import arguments
from training.data.detectors import make_detector
from training.measuring.alignment import crop_located, locate
from training.measuring.bootstrap import RESAMPLES, SEED, bootstrap_share
from training.measuring.models import open_model
from training.measuring.portraits import FOUR, load_portraits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_detection(parser)
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    detector = make_detector(options.detector, options.repository)
    model = open_model(options.model, threads=1)
    images, labels = load_portraits(options.data)
    located = locate(images, detector, min_score=options.min_score, min_face_px=options.min_face_px)
    answers = model.choose(crop_located(images, located, aligned_square, detector.framing), FOUR)
    shown, missed = labels[located.places], np.delete(labels, located.places)
    is_right = answers == shown
    print(f"a face found in {len(shown)} of {len(labels)} portraits")
    of_all = np.concatenate([is_right, np.zeros(len(missed), np.bool_)])
    print(f"accuracy over those {_format_share(is_right)}, over all {_format_share(of_all)}")
    for label, emotion in enumerate(FOUR):
        of_these = answers[shown == label]
        shares = (f"{other} {int((of_these == number).sum())}" for number, other in enumerate(FOUR))
        recall = _format_share(of_these == label) if len(of_these) else "none found"
        print(
            f"  {emotion:<10} recall {recall}, missed {int((missed == label).sum())},"
            f" answered {', '.join(shares)}"
        )
    print(f"recalls are of the faces found; 95 % bootstrap intervals, {RESAMPLES} resamples, seed {SEED}")


def _format_share(is_right: npt.NDArray[np.bool_]) -> str:
    low, high = bootstrap_share(is_right)
    return f"{is_right.mean():.4f} [{low:.4f}, {high:.4f}]"

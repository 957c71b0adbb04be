"""Measure a detector, its framing and a model together on the portraits of four expressions.

An answer is the top one of the four. Faces found and right answers are reported separately:
recalls are of the faces found; over all portraits, a missed face is a wrong answer. Shares have 95 %
bootstrap intervals. Several priors are measured on the same faces.
"""

import argparse

import numpy as np
import numpy.typing as npt

from fercore.contracts.prior import FORM, TRAINING
from fercore.vision.align import aligned_square
from training.commands import arguments
from training.data.detectors import make_detector
from training.learning.provenance import describe_provenance
from training.measuring.alignment import crop_located, locate
from training.measuring.bootstrap import RESAMPLES, SEED, bootstrap_share
from training.measuring.evaluate import fold
from training.measuring.metrics import Labels
from training.measuring.models import open_model
from training.measuring.portraits import FOUR, load_portraits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    arguments.add_detection(parser)
    parser.add_argument(
        "--prior", nargs="+", default=[TRAINING], metavar="MIX", help=f"{FORM} (default: {TRAINING})"
    )
    arguments.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    detector = make_detector(options.detector, options.repository)
    model = open_model(options.model, threads=1)
    images, labels = load_portraits(options.data)
    located = locate(images, detector, min_score=options.min_score, min_face_px=options.min_face_px)
    for prior in options.prior:
        model.expect(prior)  # a wrong one is told before the faces are answered
    logits = model.logits(crop_located(images, located, aligned_square, detector.framing))
    shown, missed = labels[located.places], np.delete(labels, located.places)
    print(f"a face found in {len(shown)} of {len(labels)} portraits")
    for prior in options.prior:
        print(f"prior {prior}:")
        answers = fold(model.judge(logits, prior), model.emotions, FOUR).argmax(axis=1)
        _print_answers(answers.astype(np.int64), shown, missed)
    print(f"recalls are of the faces found; 95 % bootstrap intervals, {RESAMPLES} resamples, seed {SEED}")
    for name, value in describe_provenance(options.command_line).items():
        print(f"{name.replace('_', ' ')}: {value}")


def _print_answers(answers: Labels, shown: Labels, missed: Labels) -> None:
    """Print what was answered to faces that show `shown`, both int64 [n]; `missed` were not found."""
    is_right = answers == shown
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


def _format_share(is_right: npt.NDArray[np.bool_]) -> str:
    low, high = bootstrap_share(is_right)
    return f"{is_right.mean():.4f} [{low:.4f}, {high:.4f}]"

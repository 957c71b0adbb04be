"""Measure a detector, its framing and a model together on the portraits of four expressions.

An answer is the likeliest of the four. What is found, and how often the answer is right, are given apart;
over all portraits, a missed face is a wrong answer.
"""

import argparse
from pathlib import Path

from fercore.contracts.emotions import EMOTIONS
from training import graphs
from training.commands import locations
from training.plugins import make_detector
from training.portraits import EMOTION_OF, answer_among_four, find_portraits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("model", type=Path, help="a folder such as model_repository/emotion_cnn3")
    parser.add_argument("--detector", required=True, help="a file in services/detector/detectors/")
    parser.add_argument("--min-score", type=float, default=0.5, help="default: %(default)s")
    parser.add_argument("--min-face-px", type=int, default=24, help="default: %(default)s")
    locations.add_data_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    detector = make_detector(options.detector, options.model.parent)
    found = find_portraits(
        options.data, detector, min_face_px=options.min_face_px, min_score=options.min_score
    )
    answers = answer_among_four(graphs.run_folder(options.model, found.crops))
    rows, is_right = len(found.labels), answers == found.labels
    every = rows + len(found.missed)
    print(f"a face found in {rows} of {every} portraits")
    print(f"accuracy over those {is_right.mean():.4f}, over all {is_right.sum() / every:.4f}")
    for emotion in EMOTION_OF.values():
        label = EMOTIONS.index(emotion)
        of_these = answers[found.labels == label]
        shares = (
            f"{shown} {int((of_these == EMOTIONS.index(shown)).sum())}" for shown in EMOTION_OF.values()
        )
        recall = f"{(of_these == label).mean():.4f}" if len(of_these) else "none found"
        print(
            f"  {emotion:<10} recall {recall}, missed {found.missed.count(label)},"
            f" answered {', '.join(shares)}"
        )

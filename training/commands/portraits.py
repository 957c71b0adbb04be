"""Measure a detector, its framing and a model together on the portraits of four expressions.

An answer is the likeliest of the four. What is found, and how often the answer is right, are given apart.
"""

import argparse
from pathlib import Path

import services.detector.detectors
from fercore.contracts.emotions import EMOTIONS
from training import graphs
from training.commands import locations
from training.plugins import find_module
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
    plugin = find_module(services.detector.detectors, "detector", options.detector)
    detector = plugin.create(options.model.parent)
    found = find_portraits(
        options.data, detector, min_face_px=options.min_face_px, min_score=options.min_score
    )
    answers = answer_among_four(graphs.run_folder(options.model, found.crops))
    rows = len(found.labels)
    print(f"a face found in {rows} of {rows + found.missed} portraits")
    print(f"accuracy over those {float((answers == found.labels).mean()):.4f}")
    for emotion in EMOTION_OF.values():
        of_these = answers[found.labels == EMOTIONS.index(emotion)]
        shares = (
            f"{shown} {int((of_these == EMOTIONS.index(shown)).sum())}" for shown in EMOTION_OF.values()
        )
        print(f"  {emotion:<10} answered {', '.join(shares)}")

"""`evaluate` with an address: measure the service, not only the network."""

import argparse
from collections.abc import Callable

import numpy as np

from fercore.contracts.prior import TRAINING
from training.config import DataConfig
from training.data.faces import DataSet
from training.errors import TrainingError
from training.measuring.cluster import (
    NothingThereError,
    Served,
    Service,
    classify_faces,
    predict_images,
)
from training.measuring.evaluate import examine, examine_split, fold, select_judged
from training.measuring.portraits import FOLDER, FOUR, list_portraits
from training.measuring.report.page import Section

Load = Callable[[argparse.Namespace, DataConfig | None], tuple[str, DataSet]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only an address takes."""
    group = parser.add_argument_group("with an address")
    group.add_argument(
        "--classifier",
        metavar="URL",
        default=None,
        help="where POST /classify is (default: the same address)",
    )
    group.add_argument("--only", choices=("classify", "predict"), default=None, help="ask this route alone")
    group.add_argument("--emotion-model", default=None, metavar="NAME", help="default: the service's own")
    group.add_argument("--detector", default=None, metavar="NAME", help="default: the service's own")
    group.add_argument(
        "--at-once",
        type=int,
        choices=range(1, 65),
        default=4,
        metavar="N",
        help="requests at a time (default: 4)",
    )
    group.add_argument(
        "--faces-each",
        type=int,
        choices=range(1, 257),
        default=16,
        metavar="N",
        help="faces a request (default: 16)",
    )


def measure(options: argparse.Namespace, load: Load) -> tuple[dict[str, object], list[Section]]:
    """Query a running cluster; return facts and what was measured.

    Raises:
        TrainingError: it cannot be reached, answers an error, or lacks an emotion of the data set.
    """
    facts: dict[str, object] = {}
    sections: list[Section] = []
    for route, ask in (("classify", _ask_classifier), ("predict", _ask_gateway)):
        if options.only in (None, route):
            found, section = ask(options, load)
            facts |= found
            sections.append(section)
    return facts, sections


def _ask_classifier(options: argparse.Namespace, load: Load) -> tuple[dict[str, object], Section]:
    name, data = load(options, None)
    faces = select_judged(data.splits[options.split])
    service = _make_service(options, options.classifier or options.model)
    try:
        served = classify_faces(service, faces.tiles)
    except NothingThereError as err:
        if options.classifier is not None:
            raise
        raise TrainingError(
            f"{err}; --classifier names the classifier's own address, --only predict leaves it out"
        ) from err
    found = examine_split(
        faces,
        fold(served.probabilities, served.emotions, data.labels),
        data.labels,
        resamples=options.resamples,
        seed=options.seed,
    )
    facts = {
        "classifier": service.url,
        "served_model": served.model,
        **_describe_prior(served),
        "data": name,
        "split": options.split,
        "labels": [emotion.value for emotion in data.labels],
        "model_labels": [emotion.value for emotion in served.emotions],
    }
    text = f"Framed faces of {name}, {options.split} split, through POST /classify of {service.url}."
    return facts, Section("faces", f"{options.split} through /classify", text, found)


def _ask_gateway(options: argparse.Namespace, _: Load) -> tuple[dict[str, object], Section]:
    portraits = list_portraits(options.data)
    images = [file.read_bytes() for file, _ in portraits]
    served = predict_images(_make_service(options, options.model), images)
    truth = np.array([FOUR.index(emotion) for _, emotion in portraits], np.int64)[served.rows]
    found = examine(
        fold(served.probabilities, served.emotions, FOUR),
        truth,
        FOUR,
        resamples=options.resamples,
        seed=options.seed,
    )
    right_of_all = round(found.measures.accuracy * len(truth) / len(portraits), 4)
    facts = {
        "served_model": served.model,
        **_describe_prior(served),
        "photographs": len(portraits),
        "photographs_with_a_face": len(truth),
        "photographs_right_of_all": right_of_all,
    }
    text = (
        f"Whole photographs of {FOLDER} through POST /predict of {options.model}: a face was found in "
        f"{len(truth)} of {len(portraits)}; its scores are folded to the {len(FOUR)} that are shown. "
        f"Where no face was found counts as wrong, {right_of_all:.4f} are right."
    )
    print(text)
    return facts, Section("portraits", f"{FOLDER} through /predict", text, {"found": found})


def _describe_prior(served: Served) -> dict[str, object]:
    return {
        "served_prior": served.prior.name,
        "expected_shares": None if served.prior.name == TRAINING else served.prior.shares,
    }


def _make_service(options: argparse.Namespace, url: str) -> Service:
    return Service(
        url,
        options.emotion_model,
        options.detector,
        options.at_once,
        options.faces_each,
        prior=None if options.prior == TRAINING else options.prior,
    )

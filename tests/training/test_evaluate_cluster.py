"""Measuring a running cluster: its answers, its refusals, and the figures of both."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS
from tests.training.tiny_fer import FerFolder
from tests.training.tiny_images import write_image, write_text
from tests.training.tiny_service import TinyService
from training.__main__ import main
from training.errors import TrainingError
from training.measuring.cluster import Service, classify_faces

PICTURE = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()
BRIGHT = {0: "normal", 1: "happy", 2: "sad", 3: "angry"}


def surely(index: int, share: float = 0.86) -> dict[str, float]:
    rest = (1 - share) / (len(EMOTIONS) - 1)
    return {emotion.value: share if number == index else rest for number, emotion in enumerate(EMOTIONS)}


def stripes(image: np.ndarray) -> dict[str, float]:
    """Return the emotion of a tile of `FerFolder` by the width of its stripes."""
    dark = image[..., 0].mean(axis=1) < 100
    return surely(int(dark.argmax() if dark.any() else len(dark)) - 1)


@pytest.fixture
def service() -> Iterator[TinyService]:
    with TinyService(stripes).running() as running:
        yield running


def evaluate(*arguments: str) -> int:
    return main(["evaluate", *arguments, "--resamples", "20"])


def test_every_face_of_the_split_is_posted_in_batches_and_measured(service, fer: FerFolder, tmp_path, capsys):
    file = tmp_path / "figures.json"
    arguments = ("--only", "classify", "--faces-each", "16", "--split", "test", "--json", str(file))
    assert evaluate(service.url, *arguments, "--data", str(fer.write())) == 0
    assert sorted(service.batches) == [14, 16]
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures["served_model"] == "tiny 1"
    assert figures["subsets"]["all"]["rows"] == 30
    assert figures["subsets"]["all"]["accuracy"] == 1.0
    assert figures["subsets"]["all"]["expected_calibration_error"] == pytest.approx(0.14)
    assert "test through /classify, all: 30 rows  accuracy 1.0000" in capsys.readouterr().out


def test_a_prior_is_asked_for_and_what_was_used_stands_in_the_figures(
    service, fer: FerFolder, tmp_path, capsys
):
    file = tmp_path / "figures.json"
    service.prior = {"name": "uniform", "shares": {emotion.value: 0.125 for emotion in EMOTIONS}}
    arguments = ("--only", "classify", "--split", "test", "--json", str(file), "--data", str(fer.write()))
    assert evaluate(service.url, *arguments, "--prior", "uniform") == 0
    assert {query["prior"][0] for query in service.queries} == {"uniform"}
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert (figures["prior"], figures["served_prior"]) == ("uniform", "uniform")
    assert figures["expected_shares"] == service.prior["shares"]
    assert "prior uniform: neutral 0.1250, happiness 0.1250" in capsys.readouterr().out
    service.queries.clear()
    assert evaluate(service.url, *arguments) == 0
    assert not any("prior" in query for query in service.queries)


def test_a_busy_cluster_is_asked_again_after_the_time_it_names(service, fer: FerFolder, capsys):
    service.faults = [(503, {"Retry-After": "0"}), (429, {"Retry-After": "0"}), (504, {"Retry-After": "0"})]
    assert evaluate(service.url, "--only", "classify", "--split", "test", "--data", str(fer.write())) == 0
    assert sum(service.batches) == 30


def test_another_refusal_is_one_clear_line(service, fer: FerFolder, capsys):
    service.faults = [(422, {})] * 9
    assert evaluate(service.url, "--only", "classify", "--split", "test", "--data", str(fer.write())) == 1
    assert "/classify answered 422 told to fail" in capsys.readouterr().err


def test_a_gateway_alone_is_told_where_the_classifier_is_named(service, fer: FerFolder, capsys):
    data, faces = str(fer.write()), ("--only", "classify", "--split", "test")
    service.faults = [(404, {})] * 4
    assert evaluate(service.url, *faces, "--data", data) == 1
    assert "--classifier names" in capsys.readouterr().err
    service.faults = [(404, {})] * 4
    assert evaluate(service.url, *faces, "--data", data, "--classifier", service.url) == 1
    assert "--classifier names" not in capsys.readouterr().err


def test_a_cluster_that_stays_busy_is_given_up(service, monkeypatch):
    monkeypatch.setattr("training.measuring.cluster.PATIENCE_S", 0.5)
    service.faults = [(503, {"Retry-After": "1"})]
    with pytest.raises(TrainingError, match=r"given up after 0\.5 s: 503 told to fail"):
        Service(service.url).ask("classify", [[PICTURE]])


def test_after_a_refusal_no_request_goes_on_waiting(service):
    service.faults = [(503, {"Retry-After": "30"}), (503, {"Retry-After": "30"}), (404, {})]
    started = time.monotonic()
    with pytest.raises(TrainingError, match="404"):
        Service(service.url).ask("classify", [[PICTURE]] * 3)
    assert time.monotonic() - started < 10


def test_an_address_without_a_service_is_one_clear_line(fer: FerFolder, capsys):
    with TinyService(stripes).running() as gone:
        pass
    assert evaluate(gone.url, "--only", "classify", "--split", "test", "--data", str(fer.write())) == 1
    assert "nobody answers" in capsys.readouterr().err


def test_answers_keep_the_order_of_the_faces_and_colour_stays_rgb():
    with TinyService(lambda image: surely(int(image[0, 0, 0]))).running() as service:
        tiles = np.zeros((40, 8, 8, 3), np.uint8)
        tiles[..., 0] = (np.arange(40) % 8)[:, None, None]
        served = classify_faces(Service(service.url, images_each=3, at_once=8), tiles)
    assert served.probabilities.argmax(axis=1).tolist() == (np.arange(40) % 8).tolist()
    assert served.emotions == EMOTIONS
    np.testing.assert_allclose(served.probabilities.sum(axis=1), 1)


def test_a_model_that_changes_on_the_way_is_no_measurement(service):
    versions = iter("12")
    answer = service.answer

    def other_version(image: np.ndarray) -> dict[str, float]:
        service.version = next(versions, "2")
        return answer(image)

    service.answer = other_version
    with pytest.raises(TrainingError, match="model changed"):
        classify_faces(Service(service.url, images_each=1, at_once=1), np.full((2, 48, 48), 200, np.uint8))


def test_something_else_than_faces_is_one_clear_line(service):
    service.answer = lambda image: {"boredom": 1.0}
    with pytest.raises(TrainingError, match="something else than Faces"):
        classify_faces(Service(service.url), np.zeros((1, 48, 48), np.uint8))


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    """Four images, of brightness 0, 40, 80 and 120, and one of brightness 200."""
    folder = tmp_path / "data" / "portraits_4class"
    lines = ["file,emotion"]
    for number, emotion in (*BRIGHT.items(), (5, "happy")):
        write_image(folder / "images" / f"{number}.png", np.full((9, 9, 3), number * 40, np.uint8))
        lines.append(f"{number}.png,{emotion}")
    write_text(folder / "labels.csv", "\n".join(lines) + "\n")
    return tmp_path / "data"


def by_brightness(image: np.ndarray) -> dict[str, float]:
    """Mean surprise above all, but among the four the one that is shown; anger is taken for sadness."""
    shown = ("neutral", "happiness", "sadness", "sadness")[min(int(image.max()), 120) // 40]
    probabilities = dict.fromkeys((emotion.value for emotion in EMOTIONS), 0.02)
    return probabilities | {shown: 0.3, "surprise": 0.58}


def test_images_are_predicted_and_folded_to_four_and_missed_ones_counted(portraits, tmp_path, capsys):
    tiny = TinyService(by_brightness)
    tiny.has_face = lambda image: image.max() < 190
    file = tmp_path / "figures.json"
    options = ("--data", str(portraits), "--detector", "d", "--emotion-model", "m", "--json", str(file))
    with tiny.running() as service:
        assert evaluate(f"{service.url}/", "--only", "predict", *options) == 0
    assert all(query == {"detector": ["d"], "model": ["m"]} for query in service.queries)
    figures = json.loads(file.read_text(encoding="utf-8"))
    found = figures["portraits"]["found"]
    assert (found["rows"], found["accuracy"]) == (4, 0.75)
    assert found["recall"] == {"neutral": 1.0, "happiness": 1.0, "sadness": 1.0, "anger": 0.0}
    assert (figures["photographs"], figures["photographs_with_a_face"]) == (5, 4)
    assert figures["photographs_right_of_all"] == 0.6
    assert "a face was found in 4 of 5" in capsys.readouterr().out


def test_images_without_any_face_are_one_clear_line(portraits, capsys):
    tiny = TinyService(by_brightness)
    tiny.has_face = lambda image: False
    with tiny.running() as service:
        assert evaluate(service.url, "--only", "predict", "--data", str(portraits)) == 1
    assert "no face in any of 5 photographs" in capsys.readouterr().err


def test_both_routes_make_one_report(portraits, fer: FerFolder, tmp_path):
    tiny = TinyService(stripes)
    with tiny.running() as faces, TinyService(by_brightness).running() as gateway:
        arguments = ("--classifier", faces.url, "--split", "test", "--report", str(tmp_path / "report"))
        assert evaluate(gateway.url, *arguments, "--data", str(fer.write())) == 0
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "test through /classify" in page
    assert "portraits_4class through /predict" in page
    assert page.count("data:image/png") == 8

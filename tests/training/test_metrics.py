"""Figures of merit and calibration, against values worked out by hand."""

import numpy as np
import pytest

from fercore.contracts.emotions import Emotion
from fercore.inference.calibration import softmax
from fercore.vision.crop import Framing
from fercore.vision.detection import Detections
from training.config import AugmentationConfig
from training.data.faces import NO_MAJORITY, Faces
from training.errors import TrainingError
from training.learning.augmentation import augment
from training.learning.ema import AverageWeights
from training.measuring.calibrate import find_uncertain_bound, fit_temperature
from training.measuring.evaluate import evaluate, select_judged
from training.measuring.framing import ENLARGED_SIDE_PX, PADDING_PX, measure_framing
from training.measuring.metrics import measure


def sure(*answers: int, confidence: float = 0.93) -> np.ndarray:
    rows = np.full((len(answers), 8), (1 - confidence) / 7)
    rows[np.arange(len(answers)), answers] = confidence
    return rows


def test_accuracy_recall_and_confusion():
    measures = measure(sure(0, 0, 1, 1, 2), np.array([0, 0, 0, 1, 1]))
    assert measures.accuracy == pytest.approx(3 / 5)
    assert measures.recall["neutral"] == pytest.approx(2 / 3)
    assert measures.recall["happiness"] == pytest.approx(1 / 2)
    assert measures.recall["fear"] is None
    assert measures.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert measures.confusion[0][:3] == [2, 1, 0]
    assert measures.confusion[1][:3] == [0, 1, 1]


def test_precision_f1_and_their_means():
    measures = measure(sure(0, 0, 1, 1, 2), np.array([0, 0, 0, 1, 1]))
    assert measures.precision["neutral"] == 1.0
    assert measures.precision["happiness"] == pytest.approx(1 / 2)
    assert measures.precision["surprise"] == 0.0
    assert measures.precision["fear"] is None
    assert measures.f1["neutral"] == pytest.approx(4 / 5)
    assert measures.f1["fear"] is None
    assert measures.macro_f1 == pytest.approx((4 / 5 + 1 / 2) / 2)  # surprise is answered but never true


def test_areas_under_the_curve_count_pairs_in_order():
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.5, 0.5], [0.4, 0.6], [0.9, 0.1]])
    pair = (Emotion.NEUTRAL, Emotion.HAPPINESS)
    measures = measure(probabilities, np.array([0, 0, 1, 1, 1]), pair)
    assert measures.roc_auc == {"neutral": pytest.approx(4 / 6), "happiness": pytest.approx(4 / 6)}
    assert measures.roc_auc_macro == pytest.approx(4 / 6)
    assert measures.confusion == [[2, 0], [2, 1]]
    only_one = measure(probabilities, np.zeros(5, np.int64), pair)
    assert only_one.roc_auc == {"neutral": None, "happiness": None}
    assert only_one.roc_auc_macro is None
    assert only_one.roc_auc_micro is not None


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    labels = np.array([0, 0, 0, 1])
    assert measure(sure(0, 0, 0, 0), labels).expected_calibration_error == pytest.approx(0.93 - 0.75)
    honest = measure(sure(0, 0, 0, 0, confidence=0.75), labels)
    assert honest.expected_calibration_error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_drawn_labels_is_found(true_temperature):
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (20_000, 8)).astype(np.float32)
    probabilities = softmax(logits, true_temperature)
    labels = (probabilities.cumsum(axis=1) < random.random((20_000, 1))).sum(axis=1).clip(0, 7)
    assert fit_temperature(logits, labels) == pytest.approx(true_temperature, rel=0.05)


def test_the_bound_is_the_lowest_that_is_right_often_enough():
    confidences = np.linspace(0.99, 0.5, 200)
    probabilities = np.concatenate([sure(0, confidence=c) for c in confidences])
    labels = np.zeros(200, np.int64)
    labels[100:110] = 1  # down to row 104 (5 wrong of 105) 95 % are right, and again from row 199 (10 of 200)
    bound, right_above, share = find_uncertain_bound(probabilities, labels)
    assert bound == pytest.approx(0.5, abs=1e-3)
    assert right_above == pytest.approx(0.95)
    assert share == 1.0
    bound, right_above, _ = find_uncertain_bound(probabilities[:150], labels[:150])
    assert bound == pytest.approx(confidences[104], abs=1e-3)
    assert right_above == pytest.approx(100 / 105, abs=0.005)


def test_without_such_a_bound_the_nearest_is_taken():
    probabilities = np.concatenate([sure(0, confidence=c) for c in np.linspace(0.9, 0.5, 100)])
    labels = np.where(np.arange(100) % 5 == 0, 1, 0)
    labels[:50:5] = [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    bound, right_above, share = find_uncertain_bound(probabilities, labels)
    assert right_above == pytest.approx(0.94, abs=0.01)
    assert 0.5 <= share < 0.6
    assert bound > 0.65


def test_subsets_without_copies_and_uncertain_rows_are_measured_apart():
    faces = Faces(
        tiles=np.zeros((4, 48, 48), np.uint8),
        votes=np.zeros((4, 8), np.float32),
        majority=np.array([0, 0, 1, 1]),
        is_certain=np.array([True, False, True, True]),
        is_copied=np.array([False, False, True, False]),
    )
    found = evaluate(faces, np.log(sure(0, 1, 1, 0)).astype(np.float32), 1.0)
    assert {name: (m.rows, m.accuracy) for name, m in found.items()} == {
        "all": (4, 0.5),
        "without_copies": (3, pytest.approx(1 / 3)),
        "without_uncertain": (3, pytest.approx(2 / 3)),
        "without_either": (2, 0.5),
    }


def test_rows_without_a_majority_are_not_measured_and_none_at_all_is_an_error():
    faces = Faces(
        tiles=np.arange(2, dtype=np.uint8).repeat(4).reshape(2, 2, 2),
        votes=np.full((2, 8), 1 / 8, np.float32),
        majority=np.array([NO_MAJORITY, 3]),
        is_certain=np.ones(2, np.bool_),
        is_copied=np.zeros(2, np.bool_),
    )
    assert select_judged(faces).majority.tolist() == [3]
    with pytest.raises(TrainingError, match="nothing to measure"):
        select_judged(faces.select(np.array([True, False])))


class _BoxInTile:
    """Finds one face in every tile: a box of 3/4 of its side, moved by a tenth of the tile."""

    framing = Framing(9.0, 9.0, 9.0)

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores

    def detect(self, image: np.ndarray, *, min_face_px: int) -> Detections:
        side = ENLARGED_SIDE_PX
        assert image.shape == (side + 2 * PADDING_PX, side + 2 * PADDING_PX, 3)
        left, top = PADDING_PX + side * (0.125 + 0.1), PADDING_PX + side * (0.125 - 0.05)
        box = [left, top, left + 0.75 * side, top + 0.5 * side]
        return Detections(np.array([box] * len(self.scores), np.float32), np.array(self.scores, np.float32))


def test_framing_is_the_relation_of_tile_to_box():
    measured = measure_framing(np.zeros((3, 48, 48), np.uint8), _BoxInTile([0.9, 0.2]), min_score=0.5)
    assert (measured.tiles, measured.found) == (3, 3)
    assert measured.framing.scale == pytest.approx(1 / 0.75)
    assert measured.framing.dx == pytest.approx(-0.1 / 0.75, abs=1e-6)
    assert measured.framing.dy == pytest.approx((0.5 - 0.325) / 0.75, abs=1e-6)


def test_the_places_of_landmarks_are_measured_in_the_tile():
    class Landmarked(_BoxInTile):
        def detect(self, image: np.ndarray, *, min_face_px: int) -> Detections:
            found = super().detect(image, min_face_px=min_face_px)
            points = PADDING_PX + ENLARGED_SIDE_PX * np.linspace(0.1, 0.9, 10, dtype=np.float32).reshape(5, 2)
            return Detections(found.boxes, found.scores, np.stack([points + 50, points]))

    measured = measure_framing(np.zeros((3, 48, 48), np.uint8), Landmarked([0.2, 0.9]), min_score=0.5)
    assert np.array(measured.framing.points).ravel() == pytest.approx(np.linspace(0.1, 0.9, 10), abs=1e-5)
    boxes_only = measure_framing(np.zeros((3, 48, 48), np.uint8), _BoxInTile([0.9]), min_score=0.5)
    assert boxes_only.framing.points is None


def test_tiles_with_two_faces_or_none_do_not_count():
    with pytest.raises(TrainingError, match="no face"):
        measure_framing(np.zeros((3, 48, 48), np.uint8), _BoxInTile([0.9, 0.9]), min_score=0.5)


def test_augmentation_without_strength_changes_nothing():
    torch = pytest.importorskip("torch")
    faces = torch.rand(5, 1, 48, 48)
    nothing = dict.fromkeys(AugmentationConfig.model_fields, 0.0)
    same = augment(faces, AugmentationConfig.model_validate(nothing), full_scale=4.0)
    torch.testing.assert_close(same, faces, atol=1e-4, rtol=0)


def test_augmentation_flips_all_when_told_to():
    torch = pytest.importorskip("torch")
    faces = torch.rand(5, 1, 48, 48)
    flip = dict.fromkeys(AugmentationConfig.model_fields, 0.0) | {"flip": 1.0}
    flipped = augment(faces, AugmentationConfig.model_validate(flip), full_scale=4.0)
    torch.testing.assert_close(flipped, faces.flip(3), atol=1e-4, rtol=0)


def test_the_average_follows_the_weights():
    torch = pytest.importorskip("torch")
    network = torch.nn.Linear(1, 1)
    average = AverageWeights(network, decay=0.5)
    with torch.no_grad():
        network.get_parameter("weight").fill_(8.0)
    for _ in range(50):
        average.update(network)
    assert average.network.get_parameter("weight").item() == pytest.approx(8.0, abs=1e-3)

"""A plain folder for each class: names, splits given or cut, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.vision.crop import crop_whole
from tests.training.tiny_images import cut_short, draw_image, draw_tile, write_image
from training.config import DataConfig
from training.data.load import load_data
from training.data.reading.class_labels import match_class
from training.data.reading.split_hygiene import cut_missing
from training.data.sets import folder
from training.errors import TrainingError

OPTIONS = {"path": "faces", "terms": "made by us"}


def write_classes(root: Path, names: tuple[str, ...], count: int, first: int = 0) -> Path:
    for number, name in enumerate(names):
        for row in range(count):
            write_image(root / name / f"{row}.png", draw_image(first + 100 * number + row, 40 + row))
    return root


def write_splits(data: Path, names: tuple[str, ...] = ("Happy", "SAD", "normal")) -> Path:
    for number, split in enumerate(("train", "val", "test")):
        write_classes(data / "faces" / split, names, 3, first=10_000 * (number + 1))
    return data


def test_given_splits_are_kept_and_only_the_classes_there_are_labels(tmp_path):
    data = folder.load(write_splits(tmp_path), "majority", OPTIONS)
    assert data.labels == (Emotion.NEUTRAL, Emotion.HAPPINESS, Emotion.SADNESS)
    assert [len(faces) for faces in data.splits.values()] == [9, 9, 9]
    assert data.splits["train"].votes[0].tolist() == [0, 1, 0]
    assert data.warnings == ()
    assert (data.name_of("validation"), data.name_of("test")) == ("validation", "test")
    assert data.sources[0].terms == "made by us"


def test_images_of_any_size_go_through_the_crop_of_serving_once(tmp_path):
    write_splits(tmp_path)
    write_image(tmp_path / "faces" / "test" / "Happy" / "0.png", draw_image(5, 300, 200))
    write_image(tmp_path / "faces" / "test" / "Happy" / "1.png", draw_tile(6))
    crops = folder.load(tmp_path, "majority", OPTIONS).splits["test"].crop()
    np.testing.assert_array_equal(crops[0], crop_whole(draw_image(5, 300, 200)))
    np.testing.assert_array_equal(crops[1], crop_whole(np.stack([draw_tile(6)] * 3, axis=2)))


def test_one_folder_is_cut_by_seed_and_says_so(tmp_path):
    write_classes(tmp_path / "faces", ("happy", "sad"), 10)
    first, same, other = (
        folder.load(tmp_path, "majority", {**OPTIONS, "share": 0.2, "seed": seed}) for seed in (1, 1, 2)
    )
    assert [len(faces) for faces in first.splits.values()] == [12, 4, 4]
    for split in first.splits.values():
        assert sorted(set(split.majority.tolist())) == [0, 1]
    np.testing.assert_array_equal(first.splits["test"].tiles, same.splits["test"].tiles)
    assert (first.splits["test"].tiles != other.splits["test"].tiles).any()
    assert "one person may be in several splits" in first.warnings[0]
    assert first.sha256 == other.sha256


def test_only_the_split_that_is_missing_is_cut(tmp_path):
    write_splits(tmp_path)
    (tmp_path / "faces" / "test").rename(tmp_path / "away")
    data = folder.load(tmp_path, "majority", OPTIONS)
    assert [len(faces) for faces in data.splits.values()] == [6, 9, 3]
    assert (data.name_of("validation"), data.name_of("test")) == ("validation", "test cut from train")


def test_copies_across_splits_leave_training_only(tmp_path):
    write_splits(tmp_path)
    faces = tmp_path / "faces"
    (faces / "train" / "Happy" / "0.png").write_bytes((faces / "test" / "SAD" / "1.png").read_bytes())
    (faces / "val" / "Happy" / "0.png").write_bytes((faces / "test" / "SAD" / "2.png").read_bytes())
    data = folder.load(tmp_path, "majority", OPTIONS)
    assert [len(split) for split in data.splits.values()] == [8, 9, 9]
    assert data.dropped == {"pixel copies of validation or test rows": 1}
    assert data.splits["test"].is_copied.sum() == 2


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("Happy", "happiness"), ("ANGRY", "anger"), ("normal", "neutral"), ("fearful", "fear"),
        ("Sad", "sadness"), ("surprised", "surprise"), ("disgusted", "disgust"),
        ("contempt", "contempt"), (" joy ", "happiness"),
    ],
)  # fmt: skip
def test_common_names_mean_the_canonical_emotions(name, emotion):
    assert match_class(name, "here") == emotion


def test_an_unknown_class_is_refused_and_the_known_ones_listed(tmp_path):
    write_splits(tmp_path, ("happy", "sleepy"))
    with pytest.raises(
        TrainingError, match=r"test: no emotion is called 'sleepy'; known are neutral, normal"
    ):
        folder.load(tmp_path, "majority", OPTIONS)


def test_own_class_names_can_be_given(tmp_path):
    write_splits(tmp_path, ("1", "2"))
    data = folder.load(tmp_path, "majority", {**OPTIONS, "classes": {"1": "fear", "2": "anger"}})
    assert data.labels == (Emotion.ANGER, Emotion.FEAR)


def test_an_empty_class_is_named(tmp_path):
    write_splits(tmp_path)
    (tmp_path / "faces" / "train" / "fear").mkdir()
    with pytest.raises(TrainingError, match="fear: the class is empty"):
        folder.load(tmp_path, "majority", OPTIONS)


def test_a_class_that_only_evaluation_has_is_named(tmp_path):
    write_splits(tmp_path)
    write_classes(tmp_path / "faces" / "val", ("fear",), 2, first=90_000)
    with pytest.raises(TrainingError, match="no training face shows fear"):
        folder.load(tmp_path, "majority", OPTIONS)


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png"])
def test_an_image_cut_short_is_named(tmp_path, name):
    write_splits(tmp_path)
    cut_short(write_image(tmp_path / "faces" / "train" / "SAD" / name, draw_image(3, 64)))
    with pytest.raises(TrainingError, match=name):
        folder.load(tmp_path, "majority", OPTIONS)


def test_an_image_too_small_for_any_face_is_named(tmp_path):
    write_splits(tmp_path)
    write_image(tmp_path / "faces" / "train" / "SAD" / "dot.png", draw_image(3, 20, 90))
    with pytest.raises(TrainingError, match=r"dot\.png: 90x20 pixels are too few"):
        folder.load(tmp_path, "majority", OPTIONS)


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"cannot read .*faces: no such folder"):
        folder.load(tmp_path, "majority", OPTIONS)
    (tmp_path / "faces").mkdir()
    with pytest.raises(TrainingError, match="faces: it has no folder for any class"):
        folder.load(tmp_path, "majority", OPTIONS)


def test_test_faces_without_training_faces_are_refused(tmp_path):
    write_classes(tmp_path / "faces" / "test", ("happy", "sad"), 2)
    with pytest.raises(TrainingError, match="there must be one folder train"):
        folder.load(tmp_path, "majority", OPTIONS)


def test_terms_have_to_be_stated(tmp_path):
    with pytest.raises(TrainingError, match=r"data\.options of folder: terms: Field required"):
        load_data(DataConfig(name="folder", options={"path": "faces"}), tmp_path)


def test_the_hash_tells_other_images_and_other_labels_apart(tmp_path):
    write_splits(tmp_path)
    hashes = {folder.load(tmp_path, "majority", OPTIONS).sha256}
    # read at the same place as before, but under another label
    (tmp_path / "faces" / "train" / "Happy" / "2.png").rename(tmp_path / "faces" / "train" / "SAD" / "+.png")
    hashes.add(folder.load(tmp_path, "majority", OPTIONS).sha256)
    write_image(tmp_path / "faces" / "test" / "Happy" / "0.png", draw_image(77, 50))
    hashes.add(folder.load(tmp_path, "majority", OPTIONS).sha256)
    assert len(hashes) == 3


def test_cutting_leaves_at_least_one_row_of_a_rare_emotion_in_training():
    emotions = [EMOTIONS[0]] * 20 + [EMOTIONS[7]] * 2
    splits = cut_missing(["train"] * 22, emotions, ["validation", "test"], 0.4, seed=0)
    assert splits.count("validation") == 9
    assert splits.count("test") == 8
    assert "train" in splits[20:]

"""Redistributed copies of FER2013: a csv for each split, class folders by word or number, parts not named."""

from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS
from tests.training.test_datasets_fer import ORIGINAL, kaggle_rows, shown, write_kaggle
from tests.training.tiny_fer import write_csv
from tests.training.tiny_images import draw_tile, write_image, write_text
from training.data.sets import fer2013, fer_plus
from training.errors import TrainingError

WORDS = ("Angry", "disgusted", "FEAR", "happy", "Sad", "surprised", "Neutral")


def rows(first: int, count: int, *, labelled: bool = True) -> list[dict[str, object]]:
    return [
        ({"emotion": row % 7} if labelled else {}) | {"pixels": " ".join(map(str, draw_tile(row).ravel()))}
        for row in range(first, first + count)
    ]


def write_split(data: Path, name: str, own: list[dict[str, object]]) -> Path:
    (data / "fer2013").mkdir(parents=True, exist_ok=True)
    write_csv(data / "fer2013" / name, tuple(own[0]), own)
    return data


def write_classes(data: Path, split: str, names: tuple[str, ...], each: int, prefix: str = "im") -> None:
    for number, name in enumerate(names):
        for row in range(each):
            tile = draw_tile(1000 * len(split) + 100 * number + row)
            write_image(data / "fer2013" / split / name / f"{prefix}{row}.png", tile)


def read_refusal(data: Path) -> str:
    """Return the one line with which the set is refused."""
    with pytest.raises(TrainingError) as raised:
        fer2013.load(data, "majority")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_two_csv_files_without_usage_have_validation_cut_from_training(tmp_path):
    write_split(tmp_path, "train.csv", rows(0, 28))
    write_split(tmp_path, "test.csv", rows(28, 14))
    data = fer2013.load(tmp_path, "majority")
    assert data.labels == EMOTIONS[:7]
    assert [len(faces) for faces in data.splits.values()] == [21, 7, 14]
    assert shown(data.splits["test"], data.labels) == [*ORIGINAL, *ORIGINAL]
    np.testing.assert_array_equal(data.splits["test"].tiles[3], draw_tile(31))
    assert (data.name_of("validation"), data.name_of("test")) == ("validation cut from train", "test")
    [warning] = data.warnings
    assert warning == (
        f"{tmp_path / 'fer2013'}: PublicTest cannot be told from PrivateTest: validation is cut from train, "
        "test is all 14 faces of test; figures are not those of PrivateTest"
    )


def test_test_rows_without_labels_are_counted_and_both_splits_cut_from_training(tmp_path):
    write_split(tmp_path, "train.csv", rows(0, 35))
    write_split(tmp_path, "test.csv", rows(35, 14, labelled=False))
    data = fer2013.load(tmp_path, "majority", {"share": 0.2})
    assert [len(faces) for faces in data.splits.values()] == [21, 7, 7]
    assert data.dropped == {"rows of test.csv, which has no labels": 14}
    assert (data.name_of("validation"), data.name_of("test")) == (
        "validation cut from train",
        "test cut from train",
    )
    assert "validation and test are both cut from train; figures are not those of Priv" in data.warnings[0]
    label_of = {draw_tile(row).tobytes(): ORIGINAL[row % 7] for row in range(35)}
    for faces in data.splits.values():
        assert shown(faces, data.labels) == [label_of[tile.tobytes()] for tile in faces.tiles]


def test_a_third_csv_is_validation(tmp_path):
    for number, name in enumerate(("train.csv", "Val.csv", "test.csv")):
        write_split(tmp_path, name, rows(14 * number, 14))
    data = fer2013.load(tmp_path, "majority")
    assert [len(faces) for faces in data.splits.values()] == [14, 14, 14]
    np.testing.assert_array_equal(data.splits["validation"].tiles[0], draw_tile(14))
    assert "validation and test are as given; figures are not those of PrivateTest" in data.warnings[0]


def test_the_csv_with_usage_comes_before_the_files_beside_it(tmp_path):
    # the archive of the challenge holds all three
    write_kaggle(tmp_path, kaggle_rows(), "icml_face_data.csv")
    before = fer2013.load(tmp_path, "majority")
    write_split(tmp_path, "train.csv", rows(0, 14))
    write_split(tmp_path, "test.csv", rows(14, 14, labelled=False))
    data = fer2013.load(tmp_path, "majority")
    assert (data.sha256, data.name_of("test"), data.warnings) == (before.sha256, "PrivateTest", ())


def test_copies_across_csv_files_leave_training(tmp_path):
    write_split(tmp_path, "train.csv", rows(0, 35) + rows(40, 1))
    write_split(tmp_path, "test.csv", rows(35, 14))
    data = fer2013.load(tmp_path, "majority", {"seed": 1})
    assert data.dropped == {"pixel copies of validation or test rows": 1}
    assert data.splits["test"].is_copied.tolist() == [row == 5 for row in range(14)]


@pytest.mark.parametrize("names", [WORDS, tuple("0123456")])
@pytest.mark.parametrize("inner", [".", "images"])
def test_class_folders_are_words_in_any_case_or_numbers(tmp_path, names, inner):
    for split in ("Train", "Test"):
        write_classes(tmp_path, f"{inner}/{split}", names, 3)
    data = fer2013.load(tmp_path, "majority")
    assert [len(faces) for faces in data.splits.values()] == [14, 7, 21]
    in_order = [ORIGINAL[names.index(name)] for name in sorted(names) for _ in range(3)]
    assert shown(data.splits["test"], data.labels) == in_order


def test_a_test_folder_with_as_many_faces_as_both_parts_is_called_both(tmp_path, monkeypatch):
    monkeypatch.setattr(fer2013, "BOTH_PARTS", 28)
    for split, each in (("train", 4), ("test", 4)):
        write_classes(tmp_path, split, WORDS, each)
    data = fer2013.load(tmp_path, "majority")
    assert data.name_of("test") == "PublicTest and PrivateTest together"
    assert data.name_of("validation") == "validation cut from train"
    assert "test is all 28 faces of test, which both have together" in data.warnings[0]


def test_folders_for_validation_alone_have_test_cut_from_training(tmp_path):
    for split in ("train", "validation"):
        write_classes(tmp_path, split, WORDS, 3)
    data = fer2013.load(tmp_path, "majority")
    assert [len(faces) for faces in data.splits.values()] == [14, 21, 7]
    assert data.name_of("test") == "test cut from train"
    assert "validation is as given, test is cut from train" in data.warnings[0]


def test_names_that_tell_only_the_test_part_are_believed(tmp_path):
    write_classes(tmp_path, "train", WORDS, 3)
    write_classes(tmp_path, "test", WORDS, 2, "PrivateTest_")
    data = fer2013.load(tmp_path, "majority")
    assert [len(faces) for faces in data.splits.values()] == [14, 7, 14]
    assert (data.name_of("validation"), data.name_of("test")) == ("validation cut from train", "PrivateTest")
    assert data.warnings == ()


def test_names_of_which_only_some_tell_their_usage_are_refused(tmp_path):
    write_classes(tmp_path, "train", WORDS, 3)
    write_classes(tmp_path, "test", WORDS, 2, "PublicTest_")
    write_image(tmp_path / "fer2013" / "test" / "Sad" / "im9.png", draw_tile(9))
    assert "im9.png: its name does not begin with its usage, as others in its split do" in read_refusal(
        tmp_path
    )


@pytest.mark.parametrize("names", [tuple("1234567"), tuple("01234567")])
def test_folders_of_another_numbering_are_refused(tmp_path, names):
    write_classes(tmp_path, "train", names, 2)
    assert f"numbered {', '.join(names)}, those of FER2013 are 0 anger, 1 disgust" in read_refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "column", "value", "message"),
    [
        ("train.csv", "emotion", 7, "train.csv, line 3: no emotion has the number '7'"),
        ("test.csv", "emotion", "", "test.csv, line 3: no emotion has the number ''"),
        ("test.csv", "pixels", "1 2", "test.csv, line 3: 2 pixels instead of 2304"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(tmp_path, name, column, value, message):
    files = {"train.csv": rows(0, 14), "test.csv": rows(14, 7)}
    files[name][1][column] = value
    for own_name, own in files.items():
        write_split(tmp_path, own_name, own)
    assert message in read_refusal(tmp_path)


def test_files_by_split_that_say_their_usage_are_refused(tmp_path):
    write_split(tmp_path, "train.csv", [{**row, "Usage": "Training"} for row in rows(0, 14)])
    write_split(tmp_path, "test.csv", rows(14, 7))
    assert "train.csv: it has a column Usage; such rows are read from one file fer2013.csv" in read_refusal(
        tmp_path
    )


def test_training_rows_without_labels_are_refused(tmp_path):
    write_split(tmp_path, "train.csv", rows(0, 14, labelled=False))
    assert "train.csv: the columns must be emotion, pixels" in read_refusal(tmp_path)


@pytest.mark.parametrize("load", [fer2013.load, fer_plus.load])
def test_an_unknown_layout_is_told_with_the_known_ones_and_what_was_found(tmp_path, load):
    write_text(tmp_path / "fer2013" / "fer2013.tar.gz", "x")
    write_image(tmp_path / "fer2013" / "pictures" / "1.png", draw_tile(1))
    with pytest.raises(TrainingError) as raised:
        load(tmp_path, "majority")
    message = str(raised.value)
    assert "known are: labels.csv with train_a.png, train_b.png, eval.png; fer2013.csv or icml" in message
    assert message.endswith("found: fer2013.tar.gz, pictures/")

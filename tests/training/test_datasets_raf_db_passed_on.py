"""RAF-DB as people have it: more columns, class folders by number or word, lists of labels, refusals."""

from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS
from fercore.vision.crop import crop_whole
from fercore.vision.decode import decode
from tests.training.test_datasets_raf_db import LABELS
from tests.training.test_datasets_raf_db import write_raf as write_official
from tests.training.tiny_images import draw_image, write_image, write_text
from tests.training.tiny_passed_on import RAF_ORDER, shown, write_raf
from training.data.sets import raf_db
from training.errors import TrainingError


def read_refusal(data: Path) -> str:
    """Return the one line with which the set is refused."""
    with pytest.raises(TrainingError) as raised:
        raf_db.load(data, "majority")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_further_columns_of_the_official_list_say_nothing(tmp_path):
    root = write_official(tmp_path / "raf_db")
    expected = raf_db.load(tmp_path, "majority")
    lines = (root / LABELS).read_text(encoding="utf-8").splitlines()
    write_text(root / LABELS, "".join(f"{line} {row % 3} x\n" for row, line in enumerate(lines)))
    data = raf_db.load(tmp_path, "majority")
    for split, faces in expected.splits.items():
        np.testing.assert_array_equal(data.splits[split].tiles, faces.tiles)
        np.testing.assert_array_equal(data.splits[split].majority, faces.majority)


@pytest.mark.parametrize("inner", [".", "DATASET"])
@pytest.mark.parametrize("lists", [".", "DATASET", None])
def test_numbered_class_folders_count_from_surprise(tmp_path, inner, lists):
    top = tmp_path / "raf_db"
    root = write_raf(top / inner, lists and top / (lists if inner != "." else "."))
    data = raf_db.load(tmp_path, "majority")
    assert data.labels == EMOTIONS[:7]
    assert [len(faces) for faces in data.splits.values()] == [21, 7, 7]
    assert shown(data, "test") == list(RAF_ORDER)
    assert (data.name_of("validation"), data.name_of("test")) == ("validation cut from train", "test")
    assert data.warnings == ()
    path = next((root / "test" / "3").iterdir())
    np.testing.assert_array_equal(data.splits["test"].crop(2, 3)[0], crop_whole(decode(path.read_bytes())))


def test_class_folders_may_be_words_in_any_case(tmp_path):
    words = ("Surprise", "fear", "DISGUST", "Happy", "Sad", "anger", "Neutral")
    write_raf(tmp_path / "raf_db", tmp_path / "raf_db", words)
    assert shown(raf_db.load(tmp_path, "majority"), "test") == sorted(RAF_ORDER, key=_folder_order(words))


def _folder_order(words):
    return lambda name: sorted(words).index(words[RAF_ORDER.index(name)])


def test_one_list_may_label_the_images_of_both_splits(tmp_path):
    root = tmp_path / "raf_db"
    rows = ["path,label"]
    for row in range(35):
        name = f"train_{row:05}_aligned.jpg" if row < 28 else f"test_{row:04}_aligned.jpg"
        write_image(root / "aligned" / name, draw_image(row, 100))
        rows.append(f"aligned/{name},{row % 7 + 1}")
    write_text(root / "labels.csv", "\n".join(rows))
    data = raf_db.load(tmp_path, "majority")
    assert [len(faces) for faces in data.splits.values()] == [21, 7, 7]
    assert shown(data, "test") == list(RAF_ORDER)


def test_copies_across_splits_and_the_hash_are_those_of_any_set(tmp_path):
    root = write_raf(tmp_path / "raf_db", tmp_path / "raf_db")
    before = raf_db.load(tmp_path, "majority").sha256
    test = next((root / "test" / "1").iterdir())
    (root / "train" / "1" / "train_00001_aligned.jpg").write_bytes(test.read_bytes())
    data = raf_db.load(tmp_path, "majority", {"seed": 3})
    assert data.dropped == {"pixel copies of validation or test rows": 1}
    assert data.splits["test"].is_copied.tolist() == [True] + [False] * 6
    assert data.sha256 != before


def test_a_list_that_does_not_agree_with_the_folder_is_named_by_its_line(tmp_path):
    root = write_raf(tmp_path / "raf_db", tmp_path / "raf_db")
    path = root / "train_labels.csv"
    text = path.read_text(encoding="utf-8")
    write_text(path, text.replace("train_00002_aligned.jpg,1", "train_00002_aligned.jpg,4"))
    message = read_refusal(tmp_path)
    assert "train_labels.csv, line 3: the label is happiness, but the folder of " in message
    assert message.endswith("train_00002_aligned.jpg means surprise (1 such pictures)")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train_00002_aligned.jpg,1\n", "", "train_00002_aligned.jpg: no list of labels names it (1 such"),
        ("train_00002_", "train_99999_", "line 3: no picture is called 'train_99999_aligned.jpg'"),
        ("train_00002_", "train_00009_", "line 10: 'train_00009_aligned.jpg' has another label"),
        ("label", "age", "must be one column of labels (label, "),
        (",7", ",0", "labels are numbered 0, 1, 2, 3, 4, 5, 6, those of RAF-DB are 1 surprise"),
        (",7", ",neutral", "some labels are numbers (1), some words ('neutral')"),
    ],
)
def test_a_wrong_list_is_refused_in_one_line(tmp_path, old, new, message):
    root = write_raf(tmp_path / "raf_db", tmp_path / "raf_db")
    path = root / "train_labels.csv"
    write_text(path, path.read_text(encoding="utf-8").replace(old, new))
    assert message in read_refusal(tmp_path)


def test_a_list_for_one_split_only_is_refused(tmp_path):
    root = write_raf(tmp_path / "raf_db", tmp_path / "raf_db")
    (root / "test_labels.csv").unlink()
    assert "train_labels.csv must be lists for test, train, one each" in read_refusal(tmp_path)


@pytest.mark.parametrize("classes", ["0123456", "123456", "2345678", "12345678"])
def test_folders_of_another_numbering_are_refused(tmp_path, classes):
    write_raf(tmp_path / "raf_db", classes=classes)
    message = read_refusal(tmp_path)
    assert f"test: the labels are numbered {', '.join(classes)}, those of RAF-DB are 1 surprise" in message
    assert message.endswith("which emotions are meant is not certain")


def test_a_name_that_contradicts_its_folder_is_refused(tmp_path):
    root = write_raf(tmp_path / "raf_db")
    (root / "train" / "1" / "train_00001_aligned.jpg").rename(root / "train" / "1" / "test_9_aligned.jpg")
    assert "test_9_aligned.jpg: its name says test, its folder or list says train" in read_refusal(tmp_path)


def test_class_folders_without_any_split_are_refused(tmp_path):
    for number in range(1, 8):
        write_image(tmp_path / "raf_db" / str(number) / f"{number}.jpg", draw_image(number, 100))
    assert "neither its folder nor its name says whether it is train or test" in read_refusal(tmp_path)


def test_an_unknown_layout_is_told_with_the_known_ones_and_what_was_found(tmp_path):
    root = tmp_path / "raf_db"
    for name in ("compound", "boxes"):
        write_text(root / name / "a.txt", "x")
    for number in range(6):
        write_text(root / f"part\n{number}.txt", "x")
    message = read_refusal(tmp_path)
    assert (
        "no known layout of RAF-DB; known are: EmoLabel/list_patition_label.txt and Image/aligned/" in message
    )
    assert "train_labels.csv and test_labels.csv" in message
    assert message.endswith(
        r"found: boxes/, compound/, 'part\n0.txt', 'part\n1.txt', 'part\n2.txt', 'part\n3.txt' and 2 more"
    )

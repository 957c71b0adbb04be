"""AffectNet as people have it: class folders by number or word, one list of labels, refusals."""

from pathlib import Path

import pytest

from fercore.contracts.emotions import EMOTIONS
from fercore.vision.crop import crop_whole
from tests.training.tiny_images import draw_image, write_image, write_text
from tests.training.tiny_passed_on import (
    AFFECTNET_ORDER,
    AFFECTNET_WORDS,
    shown,
    write_affectnet,
    write_affectnet_list,
)
from training.data.sets import affectnet
from training.errors import TrainingError


def read_refusal(data: Path, **options: object) -> str:
    """Return the one line with which the set is refused."""
    with pytest.raises(TrainingError) as raised:
        affectnet.load(data, "majority", options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("inner", [".", "AffectNet"])
def test_numbered_class_folders_count_from_neutral(tmp_path, inner):
    write_affectnet(tmp_path / "affectnet" / inner, "01234567", each=1)
    data = affectnet.load(tmp_path, "majority")
    assert data.labels == EMOTIONS
    for split in ("train", "validation", "test"):
        assert shown(data, split) == list(AFFECTNET_ORDER)
    assert (data.name_of("validation"), data.name_of("test")) == ("val of the copy", "test of the copy")
    assert "whether the splits of this copy are the published ones is not known" in data.warnings[0]
    assert data.splits["test"].tiles.shape == (8, 112, 112, 3)


def test_folders_numbered_to_six_have_no_contempt(tmp_path):
    write_affectnet(tmp_path / "affectnet", "0123456", each=1)
    data = affectnet.load(tmp_path, "majority")
    assert data.labels == EMOTIONS[:7]
    assert shown(data, "test") == list(AFFECTNET_ORDER[:7])


def test_class_folders_may_be_words_in_any_case(tmp_path):
    write_affectnet(tmp_path / "affectnet", AFFECTNET_WORDS, splits=("Train", "Test"), each=4)
    data = affectnet.load(tmp_path, "majority", {"share": 0.25})
    assert [len(faces) for faces in data.splits.values()] == [24, 8, 32]
    in_order = dict(zip(AFFECTNET_WORDS, AFFECTNET_ORDER, strict=True))
    assert shown(data, "test") == [in_order[word] for word in sorted(AFFECTNET_WORDS) for _ in range(4)]
    assert data.name_of("validation") == "validation cut from train"


def test_val_without_test_is_test_as_in_the_other_layouts(tmp_path):
    write_affectnet(tmp_path / "affectnet", AFFECTNET_WORDS, splits=("train", "val"))
    data = affectnet.load(tmp_path, "majority")
    assert [len(faces) for faces in data.splits.values()] == [16, 8, 24]
    assert (data.name_of("validation"), data.name_of("test")) == (
        "validation cut from train",
        "val of the copy",
    )


def test_classes_that_are_no_emotion_or_not_wanted_are_counted(tmp_path):
    write_affectnet(tmp_path / "affectnet", (*AFFECTNET_WORDS, "None", "Uncertain"), each=2)
    data = affectnet.load(tmp_path, "majority", {"classes": 7})
    assert data.labels == EMOTIONS[:7]
    assert data.dropped == {
        "rows of contempt, which 7 classes do not have": 6,
        "rows labelled none": 6,
        "rows labelled uncertain": 6,
    }


def write_flat(root: Path) -> list[tuple[str, str]]:
    """Write `Anger/` and so on with three images each; give a list that agrees."""
    write_affectnet(root, AFFECTNET_WORDS, splits=(".",))
    return [
        (f"{path.parent.name.lower()}/{path.name}", path.parent.name.lower())
        for path in sorted(root.glob("*/*.png"))
    ]


def test_a_list_and_class_folders_that_agree_are_read_and_both_splits_cut(tmp_path):
    root = tmp_path / "affectnet"
    write_affectnet_list(root, write_flat(root))
    data = affectnet.load(tmp_path, "majority")
    assert [len(faces) for faces in data.splits.values()] == [8, 8, 8]
    assert (data.name_of("validation"), data.name_of("test")) == (
        "validation cut from train",
        "test cut from train",
    )


@pytest.mark.parametrize("as_number", [False, True])
def test_a_list_alone_labels_the_images(tmp_path, as_number):
    root = tmp_path / "affectnet"
    rows = []
    for row in range(24):
        path = write_image(root / "images" / f"{row}.png", draw_image(row, 40))
        rows.append((f"images\\{path.name}", f"{row % 8}.0" if as_number else AFFECTNET_WORDS[row % 8]))
    write_image(root / "images" / "more.png", draw_image(99, 40))
    write_affectnet_list(root, rows)
    data = affectnet.load(tmp_path, "majority")
    assert data.dropped["pictures that no list of labels names"] == 1
    assert sum(len(faces) for faces in data.splits.values()) == 24
    label_of = {crop_whole(draw_image(row, 40)).tobytes(): AFFECTNET_ORDER[row % 8] for row in range(24)}
    for split, faces in data.splits.items():
        assert sorted(shown(data, split)) == sorted(AFFECTNET_ORDER)
        assert shown(data, split) == [label_of[tile.tobytes()] for tile in faces.tiles]


def test_a_list_alone_keeps_the_splits_of_the_folders(tmp_path):
    root = tmp_path / "affectnet"
    rows = []
    for row in range(40):
        split = ("train", "train", "train", "val", "test")[row // 8]
        write_image(root / split / f"{row}.png", draw_image(row, 40))
        rows.append((f"{split}/{row}.png", str(row % 8)))
    write_affectnet_list(root, rows)
    data = affectnet.load(tmp_path, "majority")
    assert [len(faces) for faces in data.splits.values()] == [24, 8, 8]
    assert sorted(shown(data, "test")) == sorted(AFFECTNET_ORDER)


def test_a_list_that_does_not_agree_needs_a_word_on_which_is_right(tmp_path):
    root = tmp_path / "affectnet"
    rows = write_flat(root)
    # so it is in the copy on Kaggle: images of the folder anger are listed as surprise
    rows[0] = (rows[0][0], "surprise")
    path = write_affectnet_list(root, rows)
    message = read_refusal(tmp_path)
    assert f"{path}, line 2: the label is surprise, but the folder of " in message
    assert message.endswith(
        "means anger (1 such pictures); data.options.labels says which is right, lists or folders"
    )
    for source, anger in (("lists", 2), ("folders", 3)):
        data = affectnet.load(tmp_path, "majority", {"labels": source})
        assert sum(shown(data, split).count("anger") for split in data.splits) == anger


def test_images_that_the_list_does_not_name_are_refused_or_left_out(tmp_path):
    root = tmp_path / "affectnet"
    write_affectnet_list(root, write_flat(root)[1:])
    assert "no list of labels names it (1 such pictures); data.options.labels says" in read_refusal(tmp_path)
    assert affectnet.load(tmp_path, "majority", {"labels": "lists"}).dropped == {
        "pictures that no list of labels names": 1
    }


def test_a_list_that_is_asked_for_but_not_there_is_refused(tmp_path):
    write_flat(tmp_path / "affectnet")
    assert "there is no list of labels (labels.csv)" in read_refusal(tmp_path, labels="lists")


@pytest.mark.parametrize("numbers", ["1234567", "12345678", "0123", "012345"])
def test_another_numbering_is_refused_in_folders_and_lists(tmp_path, numbers):
    write_affectnet(tmp_path / "affectnet", numbers, each=1)
    message = f"the labels are numbered {', '.join(numbers)}, those of AffectNet are 0 neutral, 1 happiness"
    assert message in read_refusal(tmp_path)
    write_image(tmp_path / "other" / "a.png", draw_image(1, 40))
    write_affectnet_list(tmp_path / "other", [("a.png", number) for number in numbers])
    assert message in read_refusal(tmp_path, path="other")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("anger/none.png", "anger"), "line 26: no picture is called 'anger/none.png'"),
        (("../affectnet/a.png", "anger"), "line 26: no picture is called '../affectnet/a.png'"),
        (("twice.png", "anger"), "line 26: 2 pictures are called 'twice.png'"),
        (("anger/twice.png", "sleepy"), "line 26: no emotion is called 'sleepy'; known are neutral"),
        (("anger/twice.png", "3"), "some labels are numbers (3), some words ('anger')"),
    ],
)
def test_a_wrong_row_of_the_list_is_refused(tmp_path, row, message):
    root = tmp_path / "affectnet"
    rows = write_flat(root)
    for number, folder in enumerate(("Anger", "SAD")):
        write_image(root / folder / "twice.png", draw_image(900 + number, 40))
    write_affectnet_list(root, [*rows, row])
    assert message in read_refusal(tmp_path)


@pytest.mark.parametrize("header", ["path,image,label", "path,valence", "pth,label,emotion"])
def test_a_list_without_one_column_each_is_refused(tmp_path, header):
    root = tmp_path / "affectnet"
    write_flat(root)
    write_text(root / "labels.csv", f"{header}\n" + ",".join("a" * len(header.split(","))) + "\n")
    assert "there must be one column of " in read_refusal(tmp_path)


def test_an_unknown_class_beside_known_ones_is_refused(tmp_path):
    write_affectnet(tmp_path / "affectnet", (*AFFECTNET_WORDS, "sleepy"))
    assert "no emotion is called 'sleepy'" in read_refusal(tmp_path)


def test_classes_beside_splits_are_refused(tmp_path):
    write_affectnet(tmp_path / "affectnet", AFFECTNET_WORDS)
    write_image(tmp_path / "affectnet" / "anger" / "1.png", draw_image(1, 40))
    assert "anger: which split this class belongs to is not certain" in read_refusal(tmp_path)


def test_two_lists_for_the_same_images_are_refused(tmp_path):
    root = tmp_path / "affectnet" / "inner"
    rows = write_flat(root)
    write_affectnet_list(root, rows)
    write_affectnet_list(root.parent, rows)
    assert "both label the pictures" in read_refusal(tmp_path)


def test_an_unknown_layout_is_told_with_the_known_ones_and_what_was_found(tmp_path):
    root = tmp_path / "affectnet"
    for folder in ("images", "labels"):
        write_image(root / "YOLO_format" / folder / "1.png", draw_image(1, 40))
    message = read_refusal(tmp_path)
    assert "no known layout of AffectNet; known are: train_set/ and val_set/ with" in message
    assert message.endswith("found: YOLO_format/")


def test_a_missing_folder_is_named(tmp_path):
    assert "affectnet: no such folder (--data names the data folder)" in read_refusal(tmp_path)

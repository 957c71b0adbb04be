"""RAF-DB: the list of labels, the aligned images, validation cut from training."""

from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS
from fercore.vision.crop import crop_whole
from fercore.vision.decode import decode
from tests.training.tiny_images import cut_short, draw_image, write_image, write_text
from training.data.sets import raf_db
from training.errors import TrainingError

ORDER = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
LABELS = "EmoLabel/list_patition_label.txt"
ALIGNED = "Image/aligned"


def write_raf(root: Path) -> Path:
    """Write four training rows and a test row of each class."""
    names = [f"train_{row + 1:05}" for row in range(28)] + [f"test_{row + 1:04}" for row in range(7)]
    write_text(root / LABELS, "".join(f"{name}.jpg {row % 7 + 1}\n" for row, name in enumerate(names)))
    for row, name in enumerate(names):
        write_image(root / ALIGNED / f"{name}_aligned.jpg", draw_image(row, 100))
    return root


def test_labels_count_from_surprise_and_test_rows_are_test(tmp_path):
    root = write_raf(tmp_path / "raf_db")
    data = raf_db.load(tmp_path, "majority")
    assert data.labels == EMOTIONS[:7]
    assert [len(faces) for faces in data.splits.values()] == [21, 7, 7]
    assert (data.name_of("validation"), data.name_of("test")) == ("validation cut from train", "test")
    test = data.splits["test"]
    assert [data.labels[number].value for number in test.majority] == list(ORDER)
    np.testing.assert_allclose(data.splits["train"].votes.sum(axis=1), 1)
    stored = decode((root / ALIGNED / "test_0003_aligned.jpg").read_bytes())
    np.testing.assert_array_equal(test.crop(2, 3)[0], crop_whole(stored))


def test_validation_has_its_share_of_every_class_and_no_row_of_training(tmp_path):
    write_raf(tmp_path / "raf_db")
    data = raf_db.load(tmp_path, "majority", {"share": 0.25, "seed": 5})
    validation, train = data.splits["validation"], data.splits["train"]
    assert sorted(validation.majority.tolist()) == list(range(7))
    assert not {tile.tobytes() for tile in validation.tiles} & {tile.tobytes() for tile in train.tiles}


def test_the_folder_of_the_archive_may_stand_between(tmp_path):
    write_raf(tmp_path / "raf_db" / "basic")
    assert len(raf_db.load(tmp_path, "majority").splits["test"]) == 7


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train_00001.jpg 8", r"label\.txt, line 1: no emotion has the number '8'; known are 1 surprise"),
        ("train_00001.jpg 0", "line 1: no emotion has the number '0'"),
        ("train_00001.jpg", "line 1: it must be a file name and a number"),
        ("face_00001.jpg 1", "line 1: 'face_00001.jpg' begins neither with"),
        ("train_99999.jpg 1", r"cannot read .*train_99999_aligned\.jpg"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = write_raf(tmp_path / "raf_db") / LABELS
    lines = path.read_text(encoding="utf-8").splitlines()
    write_text(path, "\n".join([line, *lines[1:]]))
    with pytest.raises(TrainingError, match=message):
        raf_db.load(tmp_path, "majority")


def test_an_image_of_another_size_cut_short_or_of_no_format_is_named(tmp_path):
    path = write_raf(tmp_path / "raf_db") / ALIGNED / "train_00002_aligned.jpg"
    write_image(path, draw_image(1, 64, 80))
    with pytest.raises(TrainingError, match=r"train_00002_aligned\.jpg: 80x64 pixels instead of 100x100"):
        raf_db.load(tmp_path, "majority")
    cut_short(write_image(path, draw_image(1, 100)))
    with pytest.raises(TrainingError, match=r"train_00002_aligned\.jpg: the picture is cut short"):
        raf_db.load(tmp_path, "majority")
    path.write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"train_00002_aligned\.jpg: the picture does not decode"):
        raf_db.load(tmp_path, "majority")


def test_a_missing_or_empty_list_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"cannot read .*list_patition_label\.txt"):
        raf_db.load(tmp_path, "majority")
    write_text(tmp_path / "raf_db" / LABELS, "\n")
    with pytest.raises(TrainingError, match="it has no rows"):
        raf_db.load(tmp_path, "majority")

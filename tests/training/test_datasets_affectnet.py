"""AffectNet: both layouts, 7 and 8 classes, rows without an emotion, boxes."""

from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS
from fercore.vision.crop import Framing, canonical_square, crop_face
from tests.training.tiny_fer import write_csv
from tests.training.tiny_images import cut_short, draw_image, write_image
from training.data.sets import affectnet
from training.errors import TrainingError

ORDER = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
    "expression", "valence", "arousal",
)  # fmt: skip


def write_npy(root: Path) -> Path:
    """Write four training rows and a test row of each of eight classes."""
    for folder, rows in (("train_set", 32), ("val_set", 8)):
        (root / folder / "annotations").mkdir(parents=True)
        for row in range(rows):
            write_image(root / folder / "images" / f"{row}.jpg", draw_image(row + 100 * rows, 64))
            # as in the original: a string without dimensions
            np.save(root / folder / "annotations" / f"{row}_exp.npy", np.array(str(row % 8)))
            np.save(root / folder / "annotations" / f"{row}_val.npy", np.array("0.5"))
    return root


@pytest.fixture
def csv_rows() -> dict[str, list[dict[str, object]]]:
    rows: dict[str, list[dict[str, object]]] = {"training.csv": [], "validation.csv": []}
    for number in range(40):
        name = "training.csv" if number < 32 else "validation.csv"
        values = (f"{number % 3}/{number}.jpg", 10, 6, 30, 40, "1;2;3", number % 8, 0.1, -0.2)
        rows[name].append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def write_csvs(root: Path, rows: dict[str, list[dict[str, object]]]) -> Path:
    root.mkdir()
    for name, own in rows.items():
        write_csv(root / name, COLUMNS, own)
        for row in own:
            path = root / "Manually_Annotated_Images" / str(row["subDirectory_filePath"])
            write_image(path.with_suffix(".png"), draw_image(int(path.stem), 60, 80)).rename(path)
    return root


def test_npy_annotations_give_eight_classes_and_published_validation_is_test(tmp_path):
    write_npy(tmp_path / "affectnet")
    data = affectnet.load(tmp_path, "majority")
    assert data.labels == EMOTIONS
    assert [len(faces) for faces in data.splits.values()] == [24, 8, 8]
    assert data.name_of("validation") == "validation cut from train"
    assert data.name_of("test") == "published validation"
    assert [data.labels[number].value for number in data.splits["test"].majority] == list(ORDER)
    assert data.splits["train"].crop(0, 2).shape == (2, 112, 112, 3)


def test_seven_classes_leave_contempt_out_and_count_it(tmp_path):
    write_npy(tmp_path / "affectnet")
    data = affectnet.load(tmp_path, "majority", {"classes": 7})
    assert data.labels == EMOTIONS[:7]
    assert data.splits["train"].votes.shape == (21, 7)
    assert data.dropped == {"rows of contempt, which 7 classes do not have": 5}
    assert data.sources[0].name == "AffectNet (7 classes)"


def test_csv_boxes_are_cropped_by_the_function_of_serving(tmp_path, csv_rows):
    write_csvs(tmp_path / "affectnet", csv_rows)
    data = affectnet.load(tmp_path, "majority", {"box_scale": 1.2})
    assert [len(faces) for faces in data.splits.values()] == [24, 8, 8]
    assert [data.labels[number].value for number in data.splits["test"].majority] == list(ORDER)
    box = np.array([10, 6, 40, 46], np.float32)
    expected = crop_face(draw_image(34, 60, 80), canonical_square(box, Framing(1.2, 0, 0)))
    np.testing.assert_array_equal(data.splits["test"].crop(2, 3)[0], expected)


def test_rows_that_are_no_emotion_are_counted_and_their_images_not_needed(tmp_path, csv_rows):
    root = write_csvs(tmp_path / "affectnet", csv_rows)
    for expression in (8, 9, 10, 10):
        row = {**csv_rows["training.csv"][0], "expression": expression, "face_x": "NULL"}
        csv_rows["training.csv"].append({**row, "subDirectory_filePath": "0/none.jpg"})
    write_csv(root / "training.csv", COLUMNS, csv_rows["training.csv"])
    assert affectnet.load(tmp_path, "majority").dropped == {
        "rows labelled none": 1,
        "rows labelled uncertain": 1,
        "rows labelled no face": 2,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expression": 11}, r"training\.csv, line 3: no emotion has the number '11'; known are 0 neutral"),
        ({"face_x": "left"}, r"training\.csv, line 3: face_x, .* must be numbers"),
        ({"face_width": 0}, r"training\.csv, line 3: the face box 0x40 has no area"),
        ({"subDirectory_filePath": "9/9.jpg"}, r"cannot read .*9\.jpg"),
    ],
)
def test_a_wrong_row_of_the_csv_is_named(tmp_path, csv_rows, change, message):
    root = write_csvs(tmp_path / "affectnet", csv_rows)
    csv_rows["training.csv"][1].update(change)
    write_csv(root / "training.csv", COLUMNS, csv_rows["training.csv"])
    with pytest.raises(TrainingError, match=message):
        affectnet.load(tmp_path, "majority")


def test_a_missing_column_or_csv_is_named(tmp_path, csv_rows):
    root = write_csvs(tmp_path / "affectnet", csv_rows)
    write_csv(root / "validation.csv", COLUMNS[:5], csv_rows["validation.csv"])
    with pytest.raises(TrainingError, match=r"validation\.csv: the columns must be"):
        affectnet.load(tmp_path, "majority")
    (root / "validation.csv").unlink()
    with pytest.raises(TrainingError, match=r"cannot read .*validation\.csv"):
        affectnet.load(tmp_path, "majority")


def test_an_annotation_that_is_missing_cut_short_or_no_label_is_named(tmp_path):
    path = write_npy(tmp_path / "affectnet") / "train_set" / "annotations" / "5_exp.npy"
    cut_short(path)
    with pytest.raises(TrainingError, match=r"5_exp\.npy: it is not a \.npy file of one label"):
        affectnet.load(tmp_path, "majority")
    np.save(path, np.array("12"))
    with pytest.raises(TrainingError, match=r"5_exp\.npy: no emotion has the number '12'"):
        affectnet.load(tmp_path, "majority")
    path.unlink()
    with pytest.raises(TrainingError, match=r"cannot read .*5_exp\.npy"):
        affectnet.load(tmp_path, "majority")

"""FER2013 in all its formats, and the votes of FER+ joined onto a csv of Kaggle."""

from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.emotions import EMOTIONS, Emotion
from tests.training.tiny_fer import VOTE_COLUMNS, FerFolder, write_csv
from tests.training.tiny_images import cut_short, draw_tile, write_image, write_text
from training.config import DataConfig
from training.data.load import load_data
from training.data.sets import fer2013, fer_plus
from training.errors import TrainingError

ORIGINAL = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
FOLDERS = {"angry": 0, "disgust": 1, "fear": 2, "happy": 3, "sad": 4, "surprise": 5, "neutral": 6}
USAGES = ["Training"] * 14 + ["PublicTest"] * 7 + ["PrivateTest"] * 7


def kaggle_rows() -> list[dict[str, object]]:
    return [
        {"emotion": row % 7, "pixels": " ".join(map(str, draw_tile(row).ravel())), "Usage": usage}
        for row, usage in enumerate(USAGES)
    ]


def write_kaggle(data: Path, rows: list[dict[str, object]], name: str = "fer2013.csv") -> Path:
    (data / "fer2013").mkdir(parents=True, exist_ok=True)
    write_csv(data / "fer2013" / name, ("emotion", "pixels", "Usage"), rows)
    return data


def shown(faces, labels) -> list[str]:
    return [labels[number].value for number in faces.majority]


def test_the_kaggle_csv_has_seven_labels_in_canonical_order(tmp_path):
    data = fer2013.load(write_kaggle(tmp_path, kaggle_rows()), "majority")
    assert data.labels == EMOTIONS[:7]
    assert [len(data.splits[split]) for split in ("train", "validation", "test")] == [14, 7, 7]
    assert shown(data.splits["test"], data.labels) == list(ORIGINAL)
    np.testing.assert_array_equal(data.splits["validation"].tiles[0], draw_tile(14))
    np.testing.assert_allclose(data.splits["train"].votes.sum(axis=1), 1)
    assert data.splits["train"].votes.shape == (14, 7)
    assert data.sources[0].model_dump()["rows"] == 14


def test_the_other_kaggle_csv_has_blanks_in_its_header_and_another_order(tmp_path):
    lines = ["emotion, Usage, pixels"]
    lines += [f"{row['emotion']},{row['Usage']},{row['pixels']}" for row in kaggle_rows()]
    write_text(tmp_path / "fer2013" / "icml_face_data.csv", "\n".join(lines) + "\n")
    data = fer2013.load(tmp_path, "majority")
    same = fer2013.load(write_kaggle(tmp_path / "other", kaggle_rows()), "majority")
    np.testing.assert_array_equal(data.splits["train"].tiles, same.splits["train"].tiles)
    np.testing.assert_array_equal(data.splits["train"].majority, same.splits["train"].majority)


def test_the_atlases_give_the_original_labels(fer: FerFolder):
    for row, label in enumerate(fer.labels):
        label["emotion"] = row % 7
    fer.labels[5]["label_row_certain"] = 0
    data = fer2013.load(fer.write(), "majority")
    assert [len(faces) for faces in data.splits.values()] == [63, 70, 30]
    assert shown(data.splits["test"], data.labels)[:7] == [ORIGINAL[(134 + i) % 7] for i in range(7)]
    np.testing.assert_array_equal(data.splits["validation"].tiles[3], fer.tiles[67])
    assert data.dropped == {"rows whose label may belong to another tile": 1}
    assert (data.name_of("validation"), data.name_of("test")) == ("PublicTest", "PrivateTest")


def test_copies_of_evaluation_rows_leave_training_and_are_counted(tmp_path):
    rows = kaggle_rows()
    rows[0]["pixels"], rows[8]["pixels"] = rows[20]["pixels"], rows[21]["pixels"]
    a_copy_within_training = rows[1]
    data = fer2013.load(write_kaggle(tmp_path, [*rows, a_copy_within_training]), "majority")
    assert [len(faces) for faces in data.splits.values()] == [13, 7, 7]
    assert data.dropped == {"pixel copies of validation or test rows": 2}
    assert data.report() == ("left out: 2 pixel copies of validation or test rows",)
    assert data.splits["validation"].is_copied.sum() == 1
    assert data.splits["test"].is_copied.sum() == 1


def write_folders(data: Path, name_of) -> Path:
    for number, (folder, label) in enumerate(FOLDERS.items()):
        for row in range(8):
            split = "test" if row >= 4 else "train"
            name = name_of(row)
            write_image(data / "fer2013" / split / folder / f"{name}.png", draw_tile(10 * number + row))
        assert label == number
    return data


def test_folders_whose_names_tell_the_usage_have_all_three_splits(tmp_path):
    usages = ["Training"] * 4 + ["PublicTest"] * 3 + ["PrivateTest"]
    data = fer2013.load(write_folders(tmp_path, lambda row: f"{usages[row]}_{row}"), "majority")
    assert [len(faces) for faces in data.splits.values()] == [28, 21, 7]
    assert data.warnings == ()
    assert (data.name_of("validation"), data.name_of("test")) == ("PublicTest", "PrivateTest")
    assert data.splits["train"].tiles.shape == (28, 48, 48)
    assert sorted(shown(data.splits["test"], data.labels)) == sorted(ORIGINAL)


def test_folders_whose_names_do_not_tell_have_validation_cut_from_training(tmp_path):
    folder = write_folders(tmp_path, lambda row: f"im{row}")
    data = fer2013.load(folder, "majority", {"seed": 3})
    assert [len(faces) for faces in data.splits.values()] == [21, 7, 28]
    assert "PublicTest cannot be told" in data.warnings[0]
    assert (data.name_of("validation"), data.name_of("test")) == ("validation cut from train", "test")
    again, other = (fer2013.load(folder, "majority", {"seed": seed}) for seed in (3, 4))
    np.testing.assert_array_equal(data.splits["validation"].tiles, again.splits["validation"].tiles)
    assert (data.splits["validation"].tiles != other.splits["validation"].tiles).any()


def test_a_folder_image_of_another_size_is_named(tmp_path):
    folder = write_folders(tmp_path, lambda row: f"im{row}")
    write_image(folder / "fer2013" / "train" / "fear" / "im9.png", draw_tile(999, 64))
    with pytest.raises(TrainingError, match=r"im9\.png: 64x64 pixels instead of 48x48"):
        fer2013.load(folder, "majority")


def test_an_empty_class_folder_is_named(tmp_path):
    folder = write_folders(tmp_path, lambda row: f"im{row}")
    for path in (folder / "fer2013" / "train" / "sad").iterdir():
        path.unlink()
    with pytest.raises(TrainingError, match="sad: the class is empty"):
        fer2013.load(folder, "majority")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emotion": 7}, r"fer2013\.csv, line 4: no emotion has the number '7'; known are 0 anger"),
        ({"emotion": "happy"}, "line 4: no emotion has the number 'happy'"),
        ({"Usage": "Test"}, "line 4: no usage is called 'Test'"),
        ({"pixels": "1 2 3"}, r"line 4: 3 pixels instead of 2304 \(48x48\)"),
        ({"pixels": "256 " * 2304}, "line 4: pixels must be whole numbers from 0 to 255"),
        ({"pixels": "x " * 2304}, "line 4: pixels must be whole numbers"),
    ],
)
def test_a_wrong_row_of_the_csv_is_named_by_its_line(tmp_path, change, message):
    rows = kaggle_rows()
    rows[2].update(change)
    with pytest.raises(TrainingError, match=message) as raised:
        fer2013.load(write_kaggle(tmp_path, rows), "majority")
    assert "\n" not in str(raised.value)


def test_a_csv_cut_short_is_named_by_its_last_line(tmp_path):
    path = write_kaggle(tmp_path, kaggle_rows()) / "fer2013" / "fer2013.csv"
    cut_short(path)
    with pytest.raises(TrainingError, match=r"fer2013\.csv, line 15: "):
        fer2013.load(tmp_path, "majority")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns must be"),
        ("emotion,pixel,Usage\n", "columns must be"),
        ("emotion,pixels,Usage\n", "no rows"),
    ],
)
def test_a_csv_without_its_columns_or_rows_is_refused(tmp_path, text, message):
    write_text(tmp_path / "fer2013" / "fer2013.csv", text)
    with pytest.raises(TrainingError, match=message):
        fer2013.load(tmp_path, "majority")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    write_kaggle(tmp_path, kaggle_rows())
    (tmp_path / "fer2013" / "fer2013.csv").write_bytes(b"emotion,pixels,Usage\n\xff\xfe\n")
    with pytest.raises(TrainingError, match="not UTF-8 text"):
        fer2013.load(tmp_path, "majority")


def test_an_emotion_that_training_lacks_is_named(tmp_path):
    rows = [row for row in kaggle_rows() if row["emotion"] != 1 or row["Usage"] != "Training"]
    with pytest.raises(TrainingError, match="no training face shows disgust"):
        fer2013.load(write_kaggle(tmp_path, rows), "majority")


def test_an_empty_split_is_named(tmp_path):
    with pytest.raises(TrainingError, match="the test split is empty"):
        fer2013.load(write_kaggle(tmp_path, kaggle_rows()[:21]), "majority")


def test_a_folder_without_any_of_the_formats_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"cannot read .*labels\.csv: .*--data"):
        fer2013.load(tmp_path, "majority")


def test_an_unknown_option_is_one_clear_line(tmp_path):
    config = DataConfig(name="fer2013", options={"sead": 1})
    with pytest.raises(TrainingError, match=r"data\.options of fer2013: sead"):
        load_data(config, write_kaggle(tmp_path, kaggle_rows()))


def votes_for(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    votes = []
    for number, row in enumerate(rows):
        counts = {**dict.fromkeys(VOTE_COLUMNS[2:], 0), VOTE_COLUMNS[2 + number % 8]: 10}
        votes.append({"Usage": row["Usage"], "Image name": f"fer{number:07}.png", **counts})
    return votes


def test_votes_are_joined_onto_the_kaggle_csv(tmp_path):
    rows = kaggle_rows()
    votes = votes_for(rows)
    votes[3].update(dict.fromkeys(VOTE_COLUMNS[2:], 0), happiness=4, fear=6)
    write_kaggle(tmp_path, rows)
    write_csv(tmp_path / "fer2013" / "fer2013new.csv", VOTE_COLUMNS, votes)
    train = fer_plus.load(tmp_path, "majority").splits["train"]
    assert train.majority.tolist() == [0, 1, 2, 6, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(train.votes[3], [0, 0.4, 0, 0, 0, 0, 0.6, 0])
    np.testing.assert_array_equal(train.tiles[3], draw_tile(3))


def test_votes_of_another_csv_are_refused(tmp_path):
    write_kaggle(tmp_path, kaggle_rows())
    write_csv(tmp_path / "fer2013" / "fer2013new.csv", VOTE_COLUMNS, votes_for(kaggle_rows())[1:])
    with pytest.raises(TrainingError, match=r"fer2013\.csv has 28 rows, fer2013new\.csv 27"):
        fer_plus.load(tmp_path, "majority")


@pytest.mark.parametrize(
    ("votes", "admissible"),
    [
        ({"anger": 7, "sadness": 3}, {"anger", "sadness"}),
        ({"anger": 6, "sadness": 2, "fear": 2}, {"anger"}),
        # a single vote is an outlier: 3 of the 9 that remain
        ({"anger": 6, "sadness": 3, "fear": 1}, {"anger", "sadness"}),
        # unknown counts in the total, but is no label
        ({"anger": 4, "sadness": 2, "unknown": 4}, {"anger"}),
        (
            {"anger": 2, "sadness": 2, "fear": 2, "neutral": 2, "unknown": 2},
            {"anger", "sadness", "fear", "neutral"},
        ),
    ],
)
def test_labels_with_three_tenths_of_the_votes_are_admissible(votes, admissible):
    counts = np.array([[votes.get(name, 0) for name in VOTE_COLUMNS[2:]]], np.int64)
    found = fer_plus.judge_admissible(counts)[0]
    assert {
        emotion.value for emotion, is_admissible in zip(EMOTIONS, found, strict=True) if is_admissible
    } == admissible


def test_multi_label_targets_are_equal_shares_of_the_admissible_labels(fer: FerFolder):
    from training.config import PreprocessingConfig  # noqa: PLC0415 - torch is loaded only here
    from training.learning.prepared import prepare  # noqa: PLC0415
    from training.networks.preprocessing import Preprocessing  # noqa: PLC0415

    fer.labels[0]["label_row_certain"] = 0
    fer.votes[1].update(dict.fromkeys(VOTE_COLUMNS[2:], 0), anger=6, sadness=4)
    train = fer_plus.load(fer.write(), "majority").splits["train"]
    config = DataConfig(name="fer_plus", targets="multi_label")
    targets = prepare(train, Preprocessing(PreprocessingConfig()), config, "").targets
    anger, sadness = EMOTIONS.index(Emotion.ANGER), EMOTIONS.index(Emotion.SADNESS)
    assert targets[0, [anger, sadness]].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(targets.sum(dim=1), 1)
    assert targets[1].max() == 1


def test_an_empty_set_of_options_leaves_the_config_as_it_was():
    assert DataConfig(name="fer_plus").model_dump(mode="json") == {
        "name": "fer_plus",
        "training_rows": "majority",
        "targets": "votes",
    }
    assert DataConfig(name="fer_plus", options={"path": "x"}).model_dump()["options"] == {"path": "x"}

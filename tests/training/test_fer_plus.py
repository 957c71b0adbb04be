"""Reading FER+: the authors' rule, the join by row, what is left out, and clear errors."""

import numpy as np
import pytest

from fercore.vision.crop import crop_whole
from tests.support.requires import data_folder
from tests.training.tiny_fer import VOTE_COLUMNS, FerFolder, write_csv
from training.data.faces import NO_MAJORITY
from training.data.sets.fer_plus import judge_votes, load
from training.errors import TrainingError


def counts(**votes: int) -> np.ndarray:
    return np.array([[votes.get(name, 0) for name in VOTE_COLUMNS[2:]]], np.int64)


@pytest.mark.parametrize(
    ("votes", "majority"),
    [
        ({"anger": 6, "sadness": 4}, 4),
        ({"anger": 5, "sadness": 5}, NO_MAJORITY),
        ({"anger": 4, "sadness": 3, "fear": 3}, NO_MAJORITY),
        # single votes are outliers: 4 of the 4 that remain
        ({"anger": 4, "sadness": 1, "fear": 1, "neutral": 1, "happiness": 1, "disgust": 1, "NF": 1}, 4),
        # unknown counts against a majority, and may have one itself
        ({"anger": 5, "unknown": 5}, NO_MAJORITY),
        ({"anger": 4, "unknown": 6}, NO_MAJORITY),
        ({"NF": 10}, NO_MAJORITY),
        (dict.fromkeys(VOTE_COLUMNS[2:], 1), NO_MAJORITY),
    ],
)
def test_majority_follows_the_rule_of_the_authors(votes, majority):
    assert judge_votes(counts(**votes))[1].tolist() == [majority]


def test_vote_shares_leave_out_single_votes_and_unknown():
    shares, _, is_voted = judge_votes(counts(anger=6, sadness=2, fear=1, unknown=1))
    assert is_voted.all()
    np.testing.assert_allclose(shares[0], [0, 0, 0, 0.25, 0.75, 0, 0, 0])


def test_faces_without_a_majority_are_for_training_only_and_only_if_asked(fer: FerFolder):
    for row in (0, 70, 150):
        fer.votes[row].update(dict.fromkeys(VOTE_COLUMNS[2:], 0), happiness=5, anger=5)
    folder = fer.write()
    sizes = {
        rows: [len(faces) for faces in load(folder, rows).splits.values()] for rows in ("majority", "voted")
    }
    assert sizes == {"majority": [63, 69, 29], "voted": [64, 69, 29]}


def test_pixel_copies_and_uncertain_rows_leave_training_but_not_evaluation(fer: FerFolder):
    fer.tiles[5] = fer.tiles[64 + 3]
    fer.labels[9]["label_row_certain"] = 0
    fer.labels[64 + 70]["label_row_certain"] = 0
    splits = load(fer.write(), "majority").splits
    assert [len(faces) for faces in splits.values()] == [62, 70, 30]
    assert splits["validation"].is_copied.nonzero()[0].tolist() == [3]
    assert (~splits["test"].is_certain).nonzero()[0].tolist() == [0]


def test_tiles_are_joined_to_votes_by_row(fer: FerFolder):
    train = load(fer.write(), "majority").splits["train"]
    np.testing.assert_array_equal(train.tiles, fer.tiles[:64])
    assert train.majority.tolist() == [
        max(range(8), key=lambda i: int(str(row[VOTE_COLUMNS[2 + i]]))) for row in fer.votes[:64]
    ]


def test_crops_are_those_of_serving(fer: FerFolder):
    test = load(fer.write(), "majority").splits["test"]
    crops = test.crop(4, 6)
    assert crops.shape == (2, 112, 112, 3)
    np.testing.assert_array_equal(crops[1], crop_whole(np.stack([fer.tiles[64 + 70 + 5]] * 3, axis=2)))


@pytest.mark.parametrize("name", ["labels.csv", "fer2013new.csv", "train_b.png"])
def test_a_missing_file_is_named(fer: FerFolder, name: str):
    folder = fer.write()
    (folder / "fer2013" / name).unlink()
    with pytest.raises(TrainingError, match=name):
        load(folder, "majority")


def test_wrong_columns_are_refused(fer: FerFolder):
    folder = fer.write()
    write_csv(folder / "fer2013" / "fer2013new.csv", VOTE_COLUMNS[:-1], fer.votes)
    with pytest.raises(TrainingError, match="columns must be"):
        load(folder, "majority")


def test_a_label_that_is_no_number_is_refused(fer: FerFolder):
    fer.votes[3]["anger"] = "many"
    with pytest.raises(TrainingError, match="whole numbers"):
        load(fer.write(), "majority")


def test_files_with_different_numbers_of_rows_are_refused(fer: FerFolder):
    fer.votes.pop()
    with pytest.raises(TrainingError, match=r"labels\.csv has 164 rows, fer2013new\.csv 163"):
        load(fer.write(), "majority")


def test_rows_that_do_not_belong_together_are_refused(fer: FerFolder):
    fer.votes[64], fer.votes[63] = fer.votes[63], fer.votes[64]
    with pytest.raises(TrainingError, match="row 63"):
        load(fer.write(), "majority")


def test_a_tile_beyond_the_atlas_is_refused(fer: FerFolder):
    folder = fer.write()
    fer.labels[0]["tile"] = 121
    write_csv(folder / "fer2013" / "labels.csv", tuple(fer.labels[0]), fer.labels)
    with pytest.raises(TrainingError, match="no tile 121"):
        load(folder, "majority")


def test_the_hash_tells_other_data_apart(fer: FerFolder):
    before = load(fer.write(), "majority").sha256
    fer.votes[0]["NF"] = 1
    assert load(fer.write(), "majority").sha256 != before


def test_the_true_data_set_has_the_published_numbers_of_rows():
    splits = load(data_folder("fer2013").parent, "majority").splits
    assert [len(splits[split]) for split in ("validation", "test")] == [3199, 3153]
    assert len(splits["train"]) == 24396
    assert not splits["train"].is_copied.any()

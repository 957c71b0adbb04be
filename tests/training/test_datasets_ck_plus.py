"""CK+: which frames are taken, which persons are in which split, and the csv without persons."""

from pathlib import Path

import numpy as np
import pytest

from fercore.contracts.api import PredictOptions
from fercore.contracts.emotions import EMOTIONS
from fercore.vision.crop import Framing, canonical_square, crop_face, crop_whole
from fercore.vision.detection import Detections
from tests.training.tiny_fer import write_csv
from tests.training.tiny_images import draw_image, draw_tile, write_image, write_text
from training.data.faces import DataSet
from training.data.reading.assembly import LabelledRows, Provenance, assemble
from training.data.reading.images import make_face_crop
from training.data.sets import ck_plus
from training.errors import TrainingError

NUMBERS = {1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "happiness", 6: "sadness", 7: "surprise"}
FRAMES = 6
PERSONS = [f"S{number:03}" for number in (5, 10, 11, 14, 22, 26, 28, 32)]


def frame_number(person: str, sequence: int, frame: int) -> int:
    return int(person[1:]) * 1000 + sequence * 10 + frame


def write_ck(data: Path) -> Path:
    """Each person shows each of the seven expressions once, and one sequence has no label."""
    root = data / "ck_plus"
    for person in PERSONS:
        for sequence in range(1, 9):
            name = f"{person}/{sequence:03}"
            for frame in range(1, FRAMES + 1):
                file = f"{person}_{sequence:03}_{frame:08}.png"
                image = draw_image(frame_number(person, sequence, frame), 48, 64)
                write_image(root / "cohn-kanade-images" / name / file, image)
            label = root / "Emotion" / name / f"{person}_{sequence:03}_{FRAMES:08}_emotion.txt"
            label.parent.mkdir(parents=True)
            if sequence in NUMBERS:
                write_text(label, f"   {sequence}.0000000e+00\n")
    # as a Mac leaves them
    write_text(root / "cohn-kanade-images" / ".DS_Store", "")
    write_text(root / "cohn-kanade-images" / PERSONS[0] / "001" / "._frame.png", "")
    return data


def persons_of(data: DataSet) -> dict[str, set[str]]:
    return {split: set(faces.persons.tolist()) for split, faces in data.splits.items()}


def test_last_frames_are_the_expression_and_first_frames_neutral(tmp_path):
    data = ck_plus.load(write_ck(tmp_path), "majority", {"last_frames": 2})
    assert data.labels == EMOTIONS
    assert (data.name_of("validation"), data.name_of("test")) == ("validation", "test")
    train = data.splits["train"]
    assert len(train) == len(persons_of(data)["train"]) * 7 * 3
    person = min(persons_of(data)["train"])
    rows = [index for index, own in enumerate(train.persons) if own == person]
    taken = [(sequence, frame) for sequence in NUMBERS for frame in (1, FRAMES - 1, FRAMES)]
    for row, (sequence, frame) in zip(rows, taken, strict=True):
        assert EMOTIONS[train.majority[row]] == ("neutral" if frame == 1 else NUMBERS[sequence])
        expected = crop_whole(draw_image(frame_number(person, sequence, frame), 48, 64))
        np.testing.assert_array_equal(train.crop(row, row + 1)[0], expected)


def test_no_person_is_in_two_splits_and_the_seed_decides_the_splits(tmp_path):
    folder = write_ck(tmp_path)
    found = [persons_of(ck_plus.load(folder, "majority", {"seed": seed})) for seed in (0, 0, 1)]
    assert found[0] == found[1]
    assert found[0] != found[2]
    for persons in found:
        assert sorted([*persons["train"], *persons["validation"], *persons["test"]]) == PERSONS
        assert len(persons["validation"]) == len(persons["test"]) == 1


def test_a_person_in_two_splits_is_refused():
    tiles = np.stack([draw_tile(row) for row in range(3)])
    emotions = [EMOTIONS[0]] * 3
    with pytest.raises(TrainingError, match="somewhere: person S005 is both in train and in test"):
        assemble(
            LabelledRows(tiles, emotions, ["train", "validation", "test"], persons=["S005", "S010", "S005"]),
            Provenance("somewhere", "CK+", "none", "0"),
        )


def test_sequences_without_a_label_are_counted(tmp_path):
    data = ck_plus.load(write_ck(tmp_path), "majority")
    assert data.dropped == {"sequences without a label": len(PERSONS)}


def test_whole_frames_come_with_a_warning_and_a_detector_frames_them_without(tmp_path):
    folder = write_ck(tmp_path)
    assert "frames are taken whole" in ck_plus.load(folder, "majority").warnings[0]
    # noise shows no face: all frames are left out, and so a split is empty
    with pytest.raises(TrainingError, match="the train split is empty"):
        ck_plus.load(folder, "majority", {"detector": "haar"})
    with pytest.raises(TrainingError, match="no detector 'eyes'; there are: "):
        ck_plus.load(folder, "majority", {"detector": "eyes"})


class _TwoBoxes:
    """Finds two faces, the second the likelier."""

    framing = Framing(1.1, 0.05, -0.1)

    def __init__(self, score: float = 0.8) -> None:
        self.score = score

    def detect(self, image: np.ndarray, *, min_face_px: int) -> Detections:
        boxes = np.array([[0, 0, 20, 20], [12, 8, 42, 44]], np.float32)
        return Detections(boxes, np.array([0.3, self.score], np.float32))


def test_a_detector_frames_the_primary_face_as_serving_does():
    image = draw_image(1, 48, 64)
    box = np.array([12, 8, 42, 44], np.float32)
    expected = crop_face(image, canonical_square(box, _TwoBoxes.framing))
    np.testing.assert_array_equal(make_face_crop(_TwoBoxes())(image), expected)


def test_a_face_that_serving_would_not_give_is_none():
    bound = PredictOptions().min_score
    assert make_face_crop(_TwoBoxes(score=bound))(draw_image(1, 48, 64)) is not None
    assert make_face_crop(_TwoBoxes(score=bound - 0.01))(draw_image(1, 48, 64)) is None


@pytest.mark.parametrize(
    ("text", "message"), [("9.0", "no emotion has the number '9'"), ("", "the number ''")]
)
def test_a_wrong_label_file_is_named(tmp_path, text, message):
    folder = write_ck(tmp_path)
    name = "S005_003_00000006_emotion.txt"
    write_text(folder / "ck_plus" / "Emotion" / "S005" / "003" / name, text)
    with pytest.raises(TrainingError, match=f"{name}: .*{message}"):
        ck_plus.load(folder, "majority")


def test_a_sequence_shorter_than_the_frames_wanted_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"S005.001: 6 frames are too few"):
        ck_plus.load(write_ck(tmp_path), "majority", {"last_frames": 6})


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(TrainingError, match=r"cannot read .*cohn-kanade-images: no such folder"):
        ck_plus.load(tmp_path, "majority")
    write_image(tmp_path / "ck_plus" / "cohn-kanade-images" / "S005" / "001" / "a.png", draw_image(1, 48))
    with pytest.raises(TrainingError, match="no sequence of cohn-kanade-images/ has a label in Emotion/"):
        ck_plus.load(tmp_path, "majority")


def test_two_persons_are_too_few_for_three_splits(tmp_path):
    folder = write_ck(tmp_path)
    for person in PERSONS[2:]:
        (folder / "ck_plus" / "cohn-kanade-images" / person).rename(tmp_path / person)
    with pytest.raises(TrainingError, match="2 persons cannot be split"):
        ck_plus.load(folder, "majority")


def write_ck_csv(data: Path) -> Path:
    (data / "ck_plus").mkdir(parents=True)
    usages = ["Training"] * 8 + ["PublicTest"] * 8 + ["PrivateTest"] * 8
    rows: list[dict[str, object]] = [
        {"emotion": row % 8, "pixels": " ".join(map(str, draw_tile(row).ravel())), "Usage": usage}
        for row, usage in enumerate(usages)
    ]
    write_csv(data / "ck_plus" / "ckextended.csv", ("emotion", "pixels", "Usage"), rows)
    return data


def test_the_csv_has_contempt_last_and_says_that_it_mixes_persons(tmp_path):
    data = ck_plus.load(write_ck_csv(tmp_path), "majority")
    names = [data.labels[number].value for number in data.splits["test"].majority]
    assert names == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt"]
    assert "its splits share persons" in data.warnings[0]
    assert data.report()[0].startswith("warning: ")
    assert data.name_of("test") == "PrivateTest"
    assert data.splits["train"].persons is None

"""RAF-DB, the basic expressions (Li, Deng and Du, CVPR 2017): aligned colour faces of 100 px, seven labels.

Knows `EmoLabel/list_patition_label.txt` (so spelt by its authors) and `Image/aligned/`.
"""

from collections.abc import Mapping
from pathlib import Path

from fercore.contracts.emotions import Emotion
from training.errors import TrainingError
from training.faces import DataSet, Split
from training.reading.assembly import LabelledRows, Provenance, assemble
from training.reading.class_names import match_number
from training.reading.intake import Intake
from training.reading.options import SplitOptions
from training.reading.pictures import read_crops
from training.reading.split_hygiene import cut_missing, name_cut

LABELS = Path("EmoLabel/list_patition_label.txt")
ALIGNED = Path("Image/aligned")
SIDE_PX = 100
SPLIT_OF_PREFIX: dict[str, Split] = {"train": "train", "test": "test"}
ORDER = (
    Emotion.SURPRISE,
    Emotion.FEAR,
    Emotion.DISGUST,
    Emotion.HAPPINESS,
    Emotion.SADNESS,
    Emotion.ANGER,
    Emotion.NEUTRAL,
)
"""The numbers of RAF-DB's labels, from 1."""


class Options(SplitOptions):
    """Where the files are, and how validation is cut from training."""

    path: str = "raf_db"


def load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet:  # noqa: ARG001 - no votes here
    """Read RAF-DB; its own test rows are `test`, validation is cut from its training rows with a seed.

    Raises:
        TrainingError: a file is missing or is not of this format.
    """
    chosen = Options.model_validate(options or {})
    top = folder / chosen.path
    # the archive puts all into basic/
    root = top / "basic" if (top / "basic").is_dir() else top
    intake = Intake(root)
    names, emotions, splits = _read_labels(root / LABELS, intake)
    splits = cut_missing(splits, emotions, ["validation"], chosen.share, chosen.seed)
    paths = [root / ALIGNED / f"{name}_aligned.jpg" for name in names]
    tiles, _ = read_crops(paths, intake, side_px=SIDE_PX)
    provenance = Provenance(
        root / LABELS,
        "RAF-DB (basic)",
        "non-commercial research, on request to its authors",
        intake.sha256(),
        split_names=name_cut(["validation"]),
    )
    return assemble(LabelledRows(tiles, emotions, splits), provenance)


def _read_labels(path: Path, intake: Intake) -> tuple[list[str], list[Emotion], list[Split]]:
    names: list[str] = []
    emotions: list[Emotion] = []
    splits: list[Split] = []
    for line, text in enumerate(intake.read_text(path).splitlines(), start=1):
        place = f"{path}, line {line}"
        match text.split():
            case []:
                continue
            case [name, number]:
                names.append(Path(name).stem)
            case _:
                raise TrainingError(f"{place}: it must be a file name and a number, not {text!r}")
        prefix = name.partition("_")[0]
        if prefix not in SPLIT_OF_PREFIX:
            raise TrainingError(f"{place}: {name!r} begins neither with train_ nor with test_")
        splits.append(SPLIT_OF_PREFIX[prefix])
        emotions.append(match_number(number, ORDER, place, first=1))
    if not names:
        raise TrainingError(f"{path}: it has no rows")
    return names, emotions, splits

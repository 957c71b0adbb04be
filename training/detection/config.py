"""The config of a detector's run, as `training/configs/detectors/*.yaml` writes it."""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config import DataConfig, FitConfig, Fraction, Section, equals, read_config


class TeacherConfig(Section):
    """Which detector teaches landmarks, and faces without annotation."""

    detector: Annotated[str, Field(description="A plug-in of services/detector/detectors/ with landmarks")]
    sure: Annotated[
        float, Field(ge=0, le=1, description="From this score on what it alone has found is a face")
    ] = 0.75
    unsure: Annotated[
        float, Field(ge=0, le=1, description="Between this and `sure` it counts neither way")
    ] = 0.3
    dense: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of the loss that is the distance from the teacher's answer for every "
            "cell of each view; only yunet has the student's cells",
            exclude_if=equals(0),
        ),
    ] = 0.0


class PasteConfig(Section):
    """What is pasted into views; only a dense teacher can label it."""

    data: Annotated[DataConfig, Field(description="Whose training faces")] = DataConfig(name="fer2013")
    face_share: Annotated[Fraction, Field(description="Of the views that get faces")] = 0.4
    drawn_share: Annotated[Fraction, Field(description="Of the views that get letters and shapes")] = 0.3


class DetectorFit(Section):
    """The training loop."""

    epochs: Annotated[int, Field(ge=1, description="Each shows a view of every image `views` times")] = 60
    views: Annotated[int, Field(ge=1, description="Of each image in an epoch")] = 2
    sides_px: Annotated[
        tuple[Annotated[int, Field(ge=64, multiple_of=64)], ...],
        Field(min_length=1, description="Of a view; each batch draws one of them"),
    ] = (384,)
    mosaic: Annotated[Fraction, Field(description="Share of the views made of four images")] = 0.4
    batch_size: Annotated[
        int, Field(ge=1, description="Views of the first side; of others as many as have its pixels")
    ] = 16
    lr: Annotated[float, Field(gt=0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warmup_epochs: Annotated[int, Field(ge=0)] = 1
    average_decay: Fraction = 0.999
    keeps_statistics: Annotated[
        bool,
        Field(
            description="Normalise by the ancestor's statistics, as serving does, not by each batch's own",
            exclude_if=equals(False),
        ),
    ] = False
    precision: Annotated[
        Literal["bfloat16", "float32"],
        Field(description="On CPUs float32 is far faster here: convolutions within channels have no other"),
    ] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    is_compiled: Annotated[
        bool, Field(description="By torch.compile, which needs a C++ compiler: about a quarter faster")
    ] = False

    def as_fit(self) -> FitConfig:
        """Return the fields that the emotion models' loop shares."""
        return FitConfig(
            schedule="cosine",
            early_stopping_patience=self.epochs,
            **self.model_dump(exclude={"views", "sides_px", "mosaic", "keeps_statistics", "is_compiled"}),
        )


class DetectorConfig(Section):
    """One detector experiment."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    seed: int = 2026
    data: Annotated[str, Field(description="A folder of the data folder, with boxes.json")] = "wider_train"
    held_out: Annotated[
        float, Field(gt=0, lt=0.5, description="Share of the images that only choose the epoch")
    ] = 0.1
    teacher: TeacherConfig | None = None
    start_from: Annotated[
        str | None,
        Field(
            description="Run folder of a detector whose best weights are the first, to train them on",
            exclude_if=equals(None),
        ),
    ] = None
    paste: Annotated[PasteConfig | None, Field(exclude_if=equals(None))] = None
    fit: DetectorFit = DetectorFit()

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.paste and (self.teacher is None or self.teacher.dense < 1):
            raise ValueError("what is pasted has no label: paste needs teacher.dense: 1")
        if self.fit.keeps_statistics and self.start_from is None:
            raise ValueError("fit.keeps_statistics needs start_from: an untrained network has none")
        return self

    def as_json(self) -> str:
        """Return the whole config, defaults filled in."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=2) + "\n"


def load_detector_config(path: Path) -> DetectorConfig:
    """Read a detector run's YAML (or JSON) file.

    Raises:
        TrainingError: it cannot be read, or a field is missing, unknown or out of range.
    """
    return read_config(path, DetectorConfig)

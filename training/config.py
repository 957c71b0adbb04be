"""What one training run is: every choice in one YAML file, checked before anything starts.

Knows no torch and opens no data.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from training.errors import TrainingError, tell
from training.fit_config import FitConfig
from training.learning_config import (
    BalancingConfig,
    DistillationConfig,
    Fraction,
    PruningConfig,
    Section,
    is_none,
    is_zero,
)
from training.preprocessing_config import PreprocessingConfig


class DataConfig(Section):
    """Which data set, and which of its rows are trained on (evaluation always takes majority rows)."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", description="File in data/sets/")]
    training_rows: Annotated[
        Literal["majority", "voted"],
        Field(description="majority: rows with a clear majority; voted: also those where opinions differ"),
    ] = "majority"
    targets: Annotated[
        Literal["votes", "majority", "multi_label"],
        Field(
            description="votes: soft labels; majority: one-hot; multi_label: equal shares of all labels that "
            "have at least 30 % of the votes (FER+)"
        ),
    ] = "votes"
    # absent while empty, so that runs made before there were options keep their config's hash
    options: dict[str, object] = Field(
        default_factory=dict,
        description="What the data set's reader is given",
        exclude_if=lambda options: not options,
    )


class ArchitectureConfig(Section):
    """Which network, and what its `build` is given."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", description="File in networks/architectures/")]
    options: dict[str, object] = Field(default_factory=dict)


class AugmentationConfig(Section):
    """Random changes to a training face; each strength is the largest change, drawn uniformly."""

    flip: Annotated[float, Field(ge=0, le=1, description="Probability of a mirror image")] = 0.5
    rotation_degrees: Annotated[float, Field(ge=0, le=45)] = 10.0
    zoom: Annotated[Fraction, Field(description="Scale factor 1 +- zoom")] = 0.12
    shift: Annotated[Fraction, Field(description="Part of the side, each way")] = 0.08
    brightness: Annotated[float, Field(ge=0, le=1, description="Added, in units of full scale")] = 0.15
    contrast: Annotated[Fraction, Field(description="Factor 1 +- contrast about the picture's mean")] = 0.3
    erase: Annotated[float, Field(ge=0, le=1, description="Probability of one blanked rectangle")] = 0.2
    shear_degrees: Annotated[float, Field(ge=0, le=30, exclude_if=is_zero)] = 0.0
    noise: Annotated[
        float,
        Field(ge=0, le=0.5, description="Deviation of Gaussian noise, of full scale", exclude_if=is_zero),
    ] = 0.0
    mixup: Annotated[
        float,
        Field(ge=0, le=2, description="alpha of Beta(alpha, alpha); 0: no blending", exclude_if=is_zero),
    ] = 0.0


class TextureConfig(Section):
    """Histograms of uniform local binary patterns over a grid of cells."""

    radius: Annotated[int, Field(ge=1, le=8, description="Of the ring of 8 neighbours, crop pixels")] = 2
    cells: Annotated[int, Field(ge=1, le=14, description="Cells along a side; each has a histogram")] = 7


class ForestConfig(Section):
    """A random forest on a network's mean features and texture; the bounds keep its graph small."""

    trees: Annotated[int, Field(ge=1, le=300)] = 100
    depth: Annotated[int, Field(ge=1, le=16)] = 12
    leaves: Annotated[int, Field(ge=2, le=1024, description="At most, of one tree")] = 256
    fewest_faces: Annotated[int, Field(ge=1, description="In a leaf")] = 3
    is_balanced: Annotated[bool, Field(description="Weigh faces by how rare their emotion is")] = True
    texture: TextureConfig = TextureConfig()


Model = TypeVar("Model", bound=BaseModel)


class RunConfig(Section):
    """One run: `runs/<name>/` is made from it, and its model card carries it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataConfig
    architecture: ArchitectureConfig
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    fit: FitConfig = FitConfig()
    balancing: Annotated[
        BalancingConfig, Field(exclude_if=lambda balancing: balancing == BalancingConfig())
    ] = BalancingConfig()
    start_from: Annotated[
        str | None,
        Field(
            description="Run folder whose best weights are the first, to tune them: all, or if its "
            "labels are others, all but its head's",
            exclude_if=is_none,
        ),
    ] = None
    distillation: Annotated[DistillationConfig | None, Field(exclude_if=is_none)] = None
    pruning: Annotated[PruningConfig | None, Field(exclude_if=is_none)] = None
    forest: Annotated[
        ForestConfig | None,
        # absent where there is none, so that earlier configs keep their hash
        Field(description="What `hybrid` puts on the network's features", exclude_if=is_none),
    ] = None

    @model_validator(mode="after")
    def _choices_go_together(self) -> Self:
        if self.pruning is not None and self.start_from is None:
            raise ValueError("pruning needs start_from: a finished run whose weights mean something")
        if self.fit.loss == "best_admissible":
            if self.data.targets != "multi_label":
                raise ValueError("fit.loss best_admissible needs data.targets: multi_label")
            if self.fit.label_smoothing:
                raise ValueError("fit.loss best_admissible knows no label_smoothing")
        return self

    @property
    def title(self) -> str:
        """What kind of model this is, in a few words."""
        model = self.architecture.options.get("model")
        network = self.architecture.name if model is None else f"{self.architecture.name} {model}"
        return network if self.forest is None else f"random forest on {network} and texture"

    def as_json(self) -> str:
        """Give the whole config, defaults filled in, as canonical JSON."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=2) + "\n"

    def sha256(self) -> str:
        """Give the hash of `as_json`."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()


def load_config(path: Path) -> RunConfig:
    """Read a run's YAML (or JSON) file.

    Raises:
        TrainingError: it cannot be read, or a field is missing, unknown or out of range.
    """
    return read_config(path, RunConfig)


def read_config(path: Path, kind: type[Model]) -> Model:
    """Read a YAML (or JSON) file as a config of some kind; raises as `load_config`."""
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as err:
        raise TrainingError(f"cannot read the config {path}: {err.strerror}") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise TrainingError(f"{path} is not YAML: {' '.join(str(err).split())}") from err
    except ValidationError as err:
        raise TrainingError(f"{path}: {tell(err, 'file')}") from err

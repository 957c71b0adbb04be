"""What one training run is: every choice in one YAML file, checked before anything starts.

Importing it does not load torch. A field that was added later is absent from the JSON while it has its
default, so that configs written before keep their hash.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import TrainingError, explain

Model = TypeVar("Model", bound=BaseModel)
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A part of a config: nothing unknown in it, and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def equals(default: object) -> Callable[[object], bool]:
    """Return a test, for `exclude_if`, of whether a field still has its default."""
    return lambda value: value == default


class DataConfig(Section):
    """Which data set, and which of its rows are trained on (evaluation always takes majority rows)."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", description="File in data/sets/")]
    training_rows: Annotated[
        Literal["majority", "voted"],
        Field(description="majority: rows with a clear majority; voted: also those without one"),
    ] = "majority"
    targets: Annotated[
        Literal["votes", "majority", "multi_label"],
        Field(
            description="votes: soft labels; majority: one-hot; multi_label: equal shares of all labels that "
            "have at least 30 % of the votes (FER+)"
        ),
    ] = "votes"
    options: dict[str, object] = Field(
        default_factory=dict,
        description="What the data set's reader is given",
        exclude_if=equals({}),
    )


class ArchitectureConfig(Section):
    """Which network, and what its `build` is given."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", description="File in networks/architectures/")]
    options: dict[str, object] = Field(default_factory=dict)


class ClaheConfig(Section):
    """Equalisation by tiles within limits."""

    grid: Annotated[int, Field(ge=2, le=8, description="Tiles along a side; must divide the size")] = 4
    clip: Annotated[float, Field(gt=0, le=40, description="Most of a level, in mean counts")] = 2.0


class ThresholdConfig(Section):
    """White where a pixel is brighter than its window's mean less an offset."""

    window: Annotated[int, Field(ge=3, le=31, description="Side, odd, pixels")] = 11
    offset: Annotated[int, Field(ge=-64, le=64, description="Levels of 255")] = 2


class PreprocessingConfig(Section):
    """What happens inside the graph between the uint8 crop and the network."""

    size: Annotated[int, Field(ge=16, le=112, description="Side the network sees, pixels")] = 48
    mean: Annotated[float, Field(ge=0, le=1, description="Subtracted after scaling to [0, 1]")] = 0.5
    std: Annotated[float, Field(gt=0, le=1, description="Divided by")] = 0.25
    colour: Annotated[
        Literal["grey", "rgb"],
        Field(
            description="What the network sees: one channel of luma, or three of colour",
            exclude_if=equals("grey"),
        ),
    ] = "grey"
    contrast: Annotated[
        Literal["as_is", "equalised", "clahe"],
        Field(
            description="equalised: by each face's histogram; clahe: by tiles, within limits",
            exclude_if=equals("as_is"),
        ),
    ] = "as_is"
    clahe: Annotated[ClaheConfig, Field(exclude_if=equals(ClaheConfig()))] = ClaheConfig()
    threshold: Annotated[
        ThresholdConfig | None,
        Field(description="Black and white, after the contrast", exclude_if=equals(None)),
    ] = None
    components: Annotated[
        int,
        Field(
            ge=0,
            le=500,
            description="Principal components kept of the training faces, last; 0: all is kept",
            exclude_if=equals(0),
        ),
    ] = 0

    @model_validator(mode="after")
    def _lighting_fits(self) -> Self:
        if self.colour != "grey" and (self.contrast != "as_is" or self.threshold is not None):
            raise ValueError("contrast and threshold are for colour: grey")
        if self.contrast == "clahe" and self.size % self.clahe.grid:
            raise ValueError(f"size {self.size} is no multiple of clahe.grid {self.clahe.grid}")
        if self.threshold is not None and self.threshold.window % 2 == 0:
            raise ValueError("threshold.window must be odd")
        return self


class AugmentationConfig(Section):
    """Random changes to a training face; each strength is the largest change, drawn uniformly."""

    flip: Annotated[float, Field(ge=0, le=1, description="Probability of a mirror image")] = 0.5
    rotation_degrees: Annotated[float, Field(ge=0, le=45)] = 10.0
    zoom: Annotated[Fraction, Field(description="Scale factor 1 +- zoom")] = 0.12
    shift: Annotated[Fraction, Field(description="Part of the side, each way")] = 0.08
    brightness: Annotated[float, Field(ge=0, le=1, description="Added, in units of full scale")] = 0.15
    contrast: Annotated[Fraction, Field(description="Factor 1 +- contrast about the image's mean")] = 0.3
    erase: Annotated[float, Field(ge=0, le=1, description="Probability of one blanked rectangle")] = 0.2
    shear_degrees: Annotated[float, Field(ge=0, le=30, exclude_if=equals(0))] = 0.0
    noise: Annotated[
        float,
        Field(ge=0, le=0.5, description="Deviation of Gaussian noise, of full scale", exclude_if=equals(0)),
    ] = 0.0
    mixup: Annotated[
        float,
        Field(ge=0, le=2, description="alpha of Beta(alpha, alpha); 0: no blending", exclude_if=equals(0)),
    ] = 0.0


class PlateauConfig(Section):
    """Lower the learning rate when the validation loss has stopped falling."""

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    patience: Annotated[int, Field(ge=0, description="Epochs without improvement that are tolerated")] = 1
    min_gain: Annotated[Fraction, Field(description="A smaller relative fall of the loss is none")] = 0.01
    min_lr: Annotated[float, Field(ge=0)] = 1e-5


class FitConfig(Section):
    """The training loop."""

    epochs: Annotated[int, Field(ge=1, description="At most; early stopping may end before")] = 45
    batch_size: Annotated[int, Field(ge=1)] = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 2e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warmup_epochs: Annotated[int, Field(ge=0, description="Linear from lr / 10")] = 1
    schedule: Annotated[
        Literal["plateau", "cosine"],
        Field(
            description="Of the learning rate: lowered at plateaus, or half a cosine down to zero",
            exclude_if=equals("plateau"),
        ),
    ] = "plateau"
    plateau: PlateauConfig = PlateauConfig()
    early_stopping_patience: Annotated[
        int, Field(ge=1, description="Epochs without a better accuracy (best_by)")
    ] = 6
    best_by: Annotated[
        Literal["accuracy", "balanced_accuracy"],
        Field(
            description="What early stopping watches and the best epoch is chosen by, on validation faces; "
            "balanced: mean recall of the labels",
            exclude_if=equals("accuracy"),
        ),
    ] = "accuracy"
    average_decay: Annotated[
        Fraction, Field(description="Weights are averaged over steps; the average is judged and exported")
    ] = 0.998
    label_smoothing: Fraction = 0.0
    loss: Annotated[
        Literal["cross_entropy", "best_admissible"],
        Field(
            description="best_admissible: any label with a target is a right answer (targets: multi_label)",
            exclude_if=equals("cross_entropy"),
        ),
    ] = "cross_entropy"
    precision: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field(description="auto: CUDA where there is one", exclude_if=equals("auto")),
    ] = "auto"
    tensorboard: Annotated[
        bool, Field(description="Write figures by epoch for TensorBoard", exclude_if=equals(True))
    ] = True
    threads: Annotated[int, Field(ge=0, description="0: as many as there are cores")] = 0


class BalancingConfig(Section):
    """How rare emotions are made to count; all off by default, and they may be combined."""

    loss_exponent: Annotated[
        float, Field(ge=0, le=1, description="Loss is weighted by share ** -exponent; 1: inverse frequency")
    ] = 0.0
    sampling_exponent: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Between 0, each face once an epoch, and 1, each emotion equally often (rare faces "
            "are drawn several times, each time augmented anew)",
        ),
    ] = 0.0
    logit_adjustment: Annotated[
        float,
        Field(
            ge=0,
            le=3,
            description="Factor of the log share added to logits in the loss (tau; Menon et al., ICLR 2021)",
        ),
    ] = 0.0
    rare_strength: Annotated[
        float,
        Field(
            ge=1, le=3, description="Augmentation of the rarest emotion is so much stronger; others between"
        ),
    ] = 1.0


RunFolder = Annotated[str, Field(min_length=1)]


class DistillationConfig(Section):
    """A finished run as teacher, or several whose answers are averaged (Hinton, Vinyals and Dean, 2015)."""

    teacher: Annotated[
        RunFolder | Annotated[tuple[RunFolder, ...], Field(min_length=2)],
        Field(description="The teacher's run folder, such as runs/big, or a list of them"),
    ]
    weight: Annotated[
        float, Field(gt=0, le=1, description="Of the teacher's answers, against the labels")
    ] = 0.7
    temperature: Annotated[float, Field(ge=1, le=20, description="Softens both sides' answers")] = 2.0
    view: Annotated[
        Literal["same", "clean"],
        Field(
            description="same: the teacher answers each augmented face (Beyer et al., CVPR 2022), with the "
            "same preprocessing; clean: it answers each face once, before the first epoch, which is cheaper"
        ),
    ] = "same"

    @property
    def teachers(self) -> tuple[str, ...]:
        """Their run folders, one or more."""
        return (self.teacher,) if isinstance(self.teacher, str) else self.teacher


class PruningConfig(Section):
    """What is left out of the finished run that `start_from` names: single weights, or whole channels."""

    sparsity: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Share of all convolution and linear weights that become zero and stay so",
            exclude_if=equals(None),
        ),
    ] = None
    channels: Annotated[
        bool,
        Field(
            description="The strongest channels between convolutions are taken over, as many as "
            "architecture.options leaves: a smaller and faster network",
            exclude_if=equals(False),
        ),
    ] = False

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if (self.sparsity is None) != self.channels:
            raise ValueError("give sparsity, or channels: true")
        return self


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


class RunConfig(Section):
    """One run: `runs/<name>/` is made from it, and its model card carries it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataConfig
    architecture: ArchitectureConfig
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    fit: FitConfig = FitConfig()
    balancing: Annotated[BalancingConfig, Field(exclude_if=equals(BalancingConfig()))] = BalancingConfig()
    start_from: Annotated[
        str | None,
        Field(
            description="Run folder whose best weights are the first, to tune them: all, or if its "
            "labels are others, all but its head's",
            exclude_if=equals(None),
        ),
    ] = None
    distillation: Annotated[DistillationConfig | None, Field(exclude_if=equals(None))] = None
    pruning: Annotated[PruningConfig | None, Field(exclude_if=equals(None))] = None
    forest: Annotated[
        ForestConfig | None,
        Field(description="What `hybrid` puts on the network's features", exclude_if=equals(None)),
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
        """Return the whole config, defaults filled in, as canonical JSON."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=2) + "\n"

    def sha256(self) -> str:
        """Return the hash of `as_json`."""
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
        raise TrainingError(f"{path}: {explain(err, 'file')}") from err

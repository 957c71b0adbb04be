"""The part of a run's config about the training loop.

Knows no torch and opens no file.
"""

from typing import Annotated, Literal

from pydantic import Field

from training.learning_config import Fraction, Section


class PlateauConfig(Section):
    """Lower the learning rate when the validation loss has stopped falling."""

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    patience: Annotated[int, Field(ge=0, description="Epochs without a gain that are borne")] = 1
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
            exclude_if=lambda schedule: schedule == "plateau",  # configs made before have no such field
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
            exclude_if=lambda best_by: best_by == "accuracy",
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
            exclude_if=lambda loss: loss == "cross_entropy",
        ),
    ] = "cross_entropy"
    precision: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Field(description="auto: CUDA where there is one", exclude_if=lambda device: device == "auto"),
    ] = "auto"
    tensorboard: Annotated[
        bool, Field(description="Write figures by epoch for TensorBoard", exclude_if=lambda is_on: is_on)
    ] = True
    threads: Annotated[int, Field(ge=0, description="0: as many as there are cores")] = 0

"""One entry of a comparison: a config with a seed, and the files that its run leaves.

An entry is independent of the others, so a comparison can grow, and goes on after a kill at any point.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.config import DataConfig, RunConfig
from training.errors import TrainingError
from training.learning.provenance import cpu_flags
from training.learning.run_folder import read_json, write_text

REQUEST, SCHEDULE, SPENT, RESULT, ANSWERS, GRAPH = (
    "request.json",
    "schedule.json",
    "spent.json",
    "result.json",
    "answers.npz",
    "model.onnx",
)
CUDA_BATCH = 256
"""Faces a batch on a GPU, at least; smaller ones leave it idle."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run of a comparison.

    Attributes:
        config: what is trained; `fit.epochs` is the most that it may take.
        budget_s: seconds of processor time, or on a GPU of wall time, that its epochs may take.
        folder: of the run.
    """

    config: RunConfig
    budget_s: float
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether the run was trained and measured."""
        return (self.folder / RESULT).exists()

    def request(self) -> None:
        """Note what is asked for in the run's folder.

        Raises:
            TrainingError: the folder holds a run of another config, data set or budget.
        """
        asked = {"config": self.config.model_dump(mode="json"), "budget_s": self.budget_s}
        file = self.folder / REQUEST
        if file.exists():
            if read_json(file) != asked:
                raise TrainingError(
                    f"{self.folder} holds a run of another config, data set or budget: "
                    "choose another --into, or remove it"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(asked, indent=2) + "\n")


def make_entries(
    configs: Sequence[RunConfig], *, seeds: int, dataset: str | None, budget_s: float, into: Path
) -> list[Entry]:
    """Return an entry for each config and seed, seeds from the config's own on.

    Args:
        configs: as their files say.
        seeds: how many runs of each.
        dataset: the data set of all, instead of the configs' own.
        budget_s: for each run.
        into: their folders stand here.

    Raises:
        TrainingError: two configs share a name, or they are to be trained on different rows.
    """
    names = [config.name for config in configs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TrainingError(f"two configs are called {', '.join(twice)}: their runs would share a folder")
    if dataset is not None:
        data = DataConfig(name=dataset)
        configs = [config.model_copy(update={"data": data}) for config in configs]
    elif different := sorted({config.name for config in configs if config.data != configs[0].data}):
        raise TrainingError(
            f"{', '.join(different)} name other data than {configs[0].name}: --dataset names one for all"
        )
    return [
        Entry(
            config.model_copy(update={"seed": config.seed + number}),
            budget_s,
            into / (config.name if seeds == 1 else f"{config.name}_seed{number + 1}"),
        )
        for config in configs
        for number in range(seeds)
    ]


def suit_device(config: RunConfig, *, has_cuda: bool | None = None) -> RunConfig:
    """Return a config with the batch, precision and threads that the device needs.

    On a CPU: one thread, and float32 unless the CPU computes bfloat16 itself, which is slow otherwise. On a
    GPU: bfloat16 and batches of at least 256 faces, with the learning rate raised by the square root of the
    factor (Krizhevsky, arXiv:1404.5997). A run keeps what it began with, wherever it ends.
    """
    fit: dict[str, object]
    if torch.cuda.is_available() if has_cuda is None else has_cuda:
        factor = max(1.0, CUDA_BATCH / config.fit.batch_size)
        batch_size, lr = round(config.fit.batch_size * factor), config.fit.lr * factor**0.5
        fit = {"batch_size": batch_size, "lr": lr, "precision": "bfloat16"}
    else:
        is_native = bool({"avx512_bf16", "amx_bf16"} & cpu_flags())
        fit = {"threads": 1, "precision": config.fit.precision if is_native else "float32"}
    return config.model_copy(update={"fit": config.fit.model_copy(update=fit)})

"""Faces as the network takes them: cropped by the serving function and preprocessed once.

Augmentation comes after it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor
from tqdm import tqdm

from training.config import DataConfig, RunConfig
from training.data.faces import NO_MAJORITY, Faces
from training.learning import run_folder
from training.networks.preprocessing import Preprocessing

CHUNK = 512


@dataclass(frozen=True, slots=True)
class Prepared:
    """One split in memory.

    Attributes:
        faces: float32 [n, 1, s, s], normalised.
        targets: float32 [n, K], what is learned; a row sums to 1.
        majority: int64 [n], what accuracy is measured against.
    """

    faces: Tensor
    targets: Tensor
    majority: Tensor

    def __len__(self) -> int:
        return len(self.faces)

    def to(self, device: torch.device) -> "Prepared":
        """Return the same split in a device's memory."""
        return Prepared(self.faces.to(device), self.targets.to(device), self.majority.to(device))


def prepare(faces: Faces, preprocessing: Preprocessing, data: DataConfig, title: str) -> Prepared:
    """Crop, preprocess and label a split.

    Args:
        faces: at least one row.
        preprocessing: the module that export puts into the graph.
        data: whether targets are vote shares, one-hot majorities or equal shares of admissible labels.
        title: of the progress bar.
    """
    return Prepared(
        _preprocess(faces, preprocessing, title), _make_targets(faces, data), torch.from_numpy(faces.majority)
    )


def fit_preprocessing(config: RunConfig, train: Faces, folder: Path) -> Preprocessing:
    """Build a run's preprocessing; what is fitted to training faces is kept in the run's folder."""
    preprocessing, kept = Preprocessing(config.preprocessing), folder / run_folder.PREPROCESSING
    if preprocessing.components is None:
        return preprocessing
    if (folder / run_folder.CHECKPOINT).exists():
        preprocessing.load_state_dict(run_folder.load_state(kept))
        return preprocessing
    seen = _preprocess(train, preprocessing.before_components, "finding components")
    preprocessing.components.find(seen, config.seed)
    run_folder.save_state(kept, dict(preprocessing.state_dict()))
    return preprocessing


def _preprocess(faces: Faces, look: Callable[[Tensor], Tensor], title: str) -> Tensor:
    parts = []
    with torch.no_grad(), tqdm(total=len(faces), desc=title, unit="face") as bar:
        for start in range(0, len(faces), CHUNK):
            parts.append(look(torch.from_numpy(faces.crop(start, start + CHUNK))))
            bar.update(len(parts[-1]))
    return torch.cat(parts)


def _make_targets(faces: Faces, data: DataConfig) -> Tensor:
    if data.targets == "votes":
        return torch.from_numpy(faces.votes)
    if data.targets == "multi_label" and faces.admissible is not None:
        admissible = torch.from_numpy(faces.admissible).to(torch.float32)
        return admissible / admissible.sum(dim=1, keepdim=True)
    has_majority = faces.majority != NO_MAJORITY
    index = np.where(has_majority, faces.majority, faces.votes.argmax(axis=1))
    return F.one_hot(torch.from_numpy(index), faces.votes.shape[1]).to(torch.float32)

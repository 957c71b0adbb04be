"""Faces reduced to their principal components and put together again: a fixed linear map in the graph.

After Turk and Pentland, "Eigenfaces for Recognition", 1991.
"""

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from typing_extensions import override

from training.errors import TrainingError

MOST_FACES = 10_000
"""Components are found on no more faces than these, evenly spaced."""


class Components(nn.Module):
    """Projects onto directions found beforehand; what they do not span is lost."""

    centre: Tensor
    directions: Tensor

    def __init__(self, values: int, count: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(values))
        self.register_buffer("directions", torch.zeros(values, count))

    @override
    def forward(self, faces: Tensor) -> Tensor:
        """Map float32 [n, c, s, s] to the same shape."""
        if not bool(self.directions.any()):
            raise TrainingError(
                "the preprocessing's components are not known: they come from a run's training"
            )
        centred = faces.flatten(1) - self.centre
        return (centred @ self.directions @ self.directions.T + self.centre).reshape(faces.shape)

    def find(self, faces: Tensor, seed: int) -> None:
        """Fit the directions in which faces, float32 [n, c, s, s], differ most.

        Raises:
            TrainingError: there are fewer faces than directions.
        """
        count = self.directions.shape[1]
        if len(faces) < count:
            raise TrainingError(f"{count} components need as many training faces, there are {len(faces)}")
        chosen = np.linspace(0, len(faces) - 1, min(len(faces), MOST_FACES)).astype(np.int64)
        pca = PCA(count, svd_solver="randomized", random_state=seed).fit(faces[chosen].flatten(1).numpy())
        self.centre.copy_(torch.from_numpy(pca.mean_))
        self.directions.copy_(torch.from_numpy(pca.components_.T.copy()))

"""Measure logits on a split: all its rows, and the rows that nobody can object to.

Knows no runtime and no model folder.
"""

import numpy as np

from training.faces import Faces
from training.graphs import Logits
from training.measures import Measures, measure, softmax

SUBSETS = ("all", "without_copies", "without_uncertain", "without_either")


def evaluate(faces: Faces, logits: Logits, temperature: float) -> dict[str, Measures]:
    """Measure by subset of a split.

    Args:
        faces: rows with a majority.
        logits: float32 [n, 8], of the same rows.
        temperature: divides the logits.

    Returns:
        For `all` rows; for those without a pixel copy in another split; for those whose label surely
        belongs to the tile; and for those of both kinds. A subset without rows is left out.
    """
    probabilities = softmax(logits, temperature)
    everywhere = np.ones(len(faces), np.bool_)
    subsets = (everywhere, ~faces.is_copied, faces.is_certain, ~faces.is_copied & faces.is_certain)
    return {
        name: measure(probabilities[rows], faces.majority[rows])
        for name, rows in zip(SUBSETS, subsets, strict=True)
        if rows.any()
    }

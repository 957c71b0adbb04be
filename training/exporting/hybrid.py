"""A network's features and texture histograms, judged by a random forest: one graph, as any other model's.

Knows no data set. After published hybrid texture systems: MobileNetV2 features (Sandler et al.,
CVPR 2018) beside uniform local binary patterns, and a forest on both. The forest is not trained by gradients:
the network comes from a run (or with pretrained weights) and stays as it is.
"""

import numpy as np
import onnx
import torch
from onnx import compose
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from tqdm import tqdm
from typing_extensions import override

from fercore.contracts.card import FACE_SIZE, FEATURES_NAME, LOGITS_NAME
from fercore.inference.backend import MAX_BATCH
from training.config import ForestConfig
from training.data.faces import NO_MAJORITY, Faces
from training.errors import TrainingError
from training.exporting.forest import MAPS, VECTOR, Vectors, fit_forest, forest_graph
from training.measuring import graphs
from training.networks.build import Servable
from training.networks.lbp import TextureHistograms

LEAST_AGREEMENT = 0.99
_TRUNK = "trunk_"


class Describer(nn.Module):
    """What the forest sees of a face: the mean of the network's last feature map, and the texture."""

    def __init__(self, servable: Servable, config: ForestConfig) -> None:
        super().__init__()
        self.servable = servable
        self.texture = TextureHistograms(config.texture, FACE_SIZE)

    @override
    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 [n, 112, 112, 3] to vectors float32 [n, width] and feature maps [n, C, h, w]."""
        _, maps = self.servable(crops)
        return torch.cat([maps.mean(dim=(2, 3)), self.texture(crops)], dim=1), maps


def describe(describer: Describer, faces: Faces) -> Vectors:
    """Give the vectors of a split's faces, float32 [n, width]."""
    describer.eval()
    batches = tqdm(range(0, len(faces), MAX_BATCH), desc="describing faces", unit="batch", mininterval=1.0)
    with torch.no_grad():
        crops = (torch.from_numpy(faces.crops(start, start + MAX_BATCH)) for start in batches)
        return np.concatenate([describer(part)[0].numpy() for part in crops])


def fit_hybrid(
    describer: Describer, train: Faces, config: ForestConfig, *, seed: int, threads: int
) -> RandomForestClassifier:
    """Fit a forest on a training split: each face's majority or, failing that, its likeliest label."""
    labels = np.where(train.majority != NO_MAJORITY, train.majority, train.votes.argmax(axis=1))
    return fit_forest(describe(describer, train), labels.astype(np.int64), config, seed=seed, threads=threads)


def to_onnx(describer: Describer, forest: RandomForestClassifier, classes: int) -> bytes:
    """Make one graph under the tensor contract from the network, the texture and the forest."""
    trunk = graphs.to_onnx(describer)
    maps = graphs.output_shape(trunk, FEATURES_NAME)
    head = forest_graph(forest, classes, maps)
    head.ir_version = graphs.IR_VERSION
    before = compose.add_prefix(onnx.load_model_from_string(trunk), _TRUNK, rename_inputs=False)
    model = compose.merge_models(
        before,
        head,
        io_map=[(_TRUNK + LOGITS_NAME, VECTOR), (_TRUNK + FEATURES_NAME, MAPS)],
        outputs=[LOGITS_NAME, FEATURES_NAME],
    )
    opsets = {opset.domain: opset.version for opset in model.opset_import}  # merging repeats them
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in opsets.items())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def check_agreement(expected: graphs.Logits, served: graphs.Logits) -> float:
    """Give the share of faces on which scikit-learn and the graph name the same emotion.

    Raises:
        TrainingError: it is under 99 %.
    """
    agreement = float((expected.argmax(axis=1) == served.argmax(axis=1)).mean())
    if not agreement >= LEAST_AGREEMENT:
        raise TrainingError(
            f"export refused: the graph names the same emotion as the forest on {agreement:.2%} of the faces "
            f"only (< {LEAST_AGREEMENT:.0%})"
        )
    return agreement

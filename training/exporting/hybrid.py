"""A network's features and texture histograms, classified by a random forest: one graph, like any model's.

After published hybrid texture systems: MobileNetV2 features (Sandler et al., CVPR 2018) and uniform local
binary patterns, and a forest on both. The forest is not trained by gradients: the network comes from a run
(or with pretrained weights) and stays as it is.
"""

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from tqdm import tqdm
from typing_extensions import override

from fercore.contracts.card import FACE_SIZE, FEATURES_NAME, LOGITS_NAME
from fercore.inference.backend import MAX_BATCH
from training.config import ForestConfig
from training.data.faces import NO_MAJORITY, Faces
from training.errors import TrainingError
from training.exporting.onnx import BATCH_AXIS, IR_VERSION, OPSET, to_onnx
from training.measuring import graphs
from training.networks.build import Servable
from training.networks.lbp import TextureHistograms

LEAST_AGREEMENT = 0.99
_TRUNK = "trunk_"
ML_OPSET = 3
VECTOR, MAPS = "vector", "maps"
LOWEST_PROBABILITY = 1e-6
"""A forest gives 0 to labels that it has not seen; the logarithm must be finite."""

Vectors = npt.NDArray[np.float32]


class FeatureExtractor(nn.Module):
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


def extract_features(extractor: FeatureExtractor, faces: Faces) -> Vectors:
    """Return the vectors of a split's faces, float32 [n, width]."""
    extractor.eval()
    batches = tqdm(range(0, len(faces), MAX_BATCH), desc="extracting features", unit="batch", mininterval=1.0)
    with torch.no_grad():
        crops = (torch.from_numpy(faces.crop(start, start + MAX_BATCH)) for start in batches)
        return np.concatenate([extractor(part)[0].numpy() for part in crops])


def fit_hybrid(
    extractor: FeatureExtractor, train: Faces, config: ForestConfig, *, seed: int, threads: int
) -> RandomForestClassifier:
    """Fit a forest on a training split: each face's majority or, without one, its top label."""
    labels = np.where(train.majority != NO_MAJORITY, train.majority, train.votes.argmax(axis=1))
    return fit_forest(
        extract_features(extractor, train), labels.astype(np.int64), config, seed=seed, threads=threads
    )


def fit_forest(
    vectors: Vectors, labels: npt.NDArray[np.int64], config: ForestConfig, *, seed: int, threads: int
) -> RandomForestClassifier:
    """Fit a forest; the same seed gives the same forest for any number of threads.

    Args:
        vectors: float32 [n, width].
        labels: int64 [n].
        config: its bounds.
        seed: of the bootstrap samples and of the features that a split may choose from.
        threads: 0 for as many as there are cores.
    """
    forest = RandomForestClassifier(
        n_estimators=config.trees,
        max_depth=config.depth,
        max_leaf_nodes=config.leaves,
        min_samples_leaf=config.fewest_faces,
        class_weight="balanced" if config.is_balanced else None,
        random_state=seed,
        n_jobs=threads or -1,
    )
    return forest.fit(vectors, labels)


def forest_logits(forest: RandomForestClassifier, vectors: Vectors, classes: int) -> graphs.Logits:
    """Return log(max(p, 1e-6)), p of scikit-learn, float32 [n, classes]; p of an unseen class is 0."""
    probabilities = np.zeros((len(vectors), classes))
    probabilities[:, forest.classes_] = forest.predict_proba(vectors)
    return np.log(np.maximum(probabilities, LOWEST_PROBABILITY)).astype(np.float32)


def _build_forest_graph(forest: RandomForestClassifier, classes: int, maps: list[int]) -> onnx.ModelProto:
    """Build the graph from vectors float32 [n, width] to logits [n, classes]; feature maps pass through.

    Args:
        forest: a fitted one.
        classes: how many logits; labels that the forest never saw get the lowest.
        maps: shape of the feature maps without the batch axis.
    """
    model: onnx.ModelProto = convert_sklearn(
        forest,
        initial_types=[(VECTOR, FloatTensorType([None, forest.n_features_in_]))],
        options={id(forest): {"zipmap": False}},
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )
    places = np.zeros((len(forest.classes_), classes), np.float32)
    places[np.arange(len(forest.classes_)), forest.classes_] = 1
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(places, "places"))
    graph.initializer.append(numpy_helper.from_array(np.array(LOWEST_PROBABILITY, np.float32), "lowest"))
    graph.node.extend(
        [
            helper.make_node("MatMul", ["probabilities", "places"], ["placed"]),
            helper.make_node("Max", ["placed", "lowest"], ["bounded"]),
            helper.make_node("Log", ["bounded"], [LOGITS_NAME]),
            helper.make_node("Identity", [MAPS], [FEATURES_NAME]),
        ]
    )
    axis = BATCH_AXIS
    graph.input.append(helper.make_tensor_value_info(MAPS, TensorProto.FLOAT, [axis, *maps]))
    del graph.output[:]
    shapes: dict[str, list[str | int | None]] = {LOGITS_NAME: [axis, classes], FEATURES_NAME: [axis, *maps]}
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    )
    return model


def build_graph(extractor: FeatureExtractor, forest: RandomForestClassifier, classes: int) -> bytes:
    """Build one graph under the tensor contract from the network, the texture and the forest."""
    trunk = to_onnx(extractor)
    maps = graphs.read_output_shape(trunk, FEATURES_NAME)
    head = _build_forest_graph(forest, classes, maps)
    head.ir_version = IR_VERSION
    before = compose.add_prefix(onnx.load_model_from_string(trunk), _TRUNK, rename_inputs=False)
    model = compose.merge_models(
        before,
        head,
        io_map=[(_TRUNK + LOGITS_NAME, VECTOR), (_TRUNK + FEATURES_NAME, MAPS)],
        outputs=[LOGITS_NAME, FEATURES_NAME],
    )
    opsets = {opset.domain: opset.version for opset in model.opset_import}  # merging repeats them
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*opset) for opset in opsets.items())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def check_agreement(expected: graphs.Logits, served: graphs.Logits) -> float:
    """Compute the share of faces on which scikit-learn and the graph name the same emotion.

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

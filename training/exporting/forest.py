"""A random forest (Breiman, 2001): fit it, and make it a graph from vectors to logits.

Knows no picture: it is given vectors and labels.
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

from fercore.contracts.card import FEATURES_NAME, LOGITS_NAME
from training.config import ForestConfig
from training.measuring import graphs

ML_OPSET = 3
VECTOR, MAPS = "vector", "maps"
LOWEST_PROBABILITY = 1e-6
"""A forest says 0 where it has seen no such face; its logarithm must be finite."""

Vectors = npt.NDArray[np.float32]


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
    """Give log(max(p, 1e-6)) as scikit-learn computes p, float32 [n, classes]; p of an unseen class is 0."""
    probabilities = np.zeros((len(vectors), classes))
    probabilities[:, forest.classes_] = forest.predict_proba(vectors)
    return np.log(np.maximum(probabilities, LOWEST_PROBABILITY)).astype(np.float32)


def forest_graph(forest: RandomForestClassifier, classes: int, maps: list[int]) -> onnx.ModelProto:
    """Make the graph from vectors float32 [n, width] to logits [n, classes]; feature maps pass through.

    Args:
        forest: a fitted one.
        classes: how many logits; labels that the forest never saw get the lowest.
        maps: shape of the feature maps without the batch axis.
    """
    model: onnx.ModelProto = convert_sklearn(
        forest,
        initial_types=[(VECTOR, FloatTensorType([None, forest.n_features_in_]))],
        options={id(forest): {"zipmap": False}},
        target_opset={"": graphs.OPSET, "ai.onnx.ml": ML_OPSET},
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
    axis = graphs.BATCH_AXIS
    graph.input.append(helper.make_tensor_value_info(MAPS, TensorProto.FLOAT, [axis, *maps]))
    del graph.output[:]
    shapes: dict[str, list[str | int | None]] = {LOGITS_NAME: [axis, classes], FEATURES_NAME: [axis, *maps]}
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    )
    return model

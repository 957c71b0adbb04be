"""Build the two graphs of this folder: `.venv-training/bin/python tests/model_repository/build.py`.

`emotion_tiny` gives logits that a test can work out by hand: logit k is k/8 times the mean red plus the
mean green minus the mean blue. `emotion_slow` does the same and takes as long as its brightest pixel says:
nothing for a black crop, about a second for a white one.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
SLOW_STEPS_PER_LEVEL = 20


def mean_colour() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", ["face"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
    ]


def tiny() -> onnx.GraphProto:
    nodes = [
        *mean_colour(),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["features"], kernel_shape=[28, 28], strides=[28, 28]),
    ]
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3, 4, 4])
    return graph("tiny", nodes, [features], [])


def slow() -> onnx.GraphProto:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on_in"], ["goes_on"]),
            helper.make_node("MatMul", ["square_in", "square_in"], ["square"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("square_in", TensorProto.FLOAT, [256, 256]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("square", TensorProto.FLOAT, [256, 256]),
        ],
    )
    nodes = [
        *mean_colour(),
        helper.make_node("Cast", ["face"], ["levels"], to=TensorProto.INT32),
        helper.make_node("ReduceMax", ["levels"], ["brightest"], keepdims=0),
        helper.make_node("Cast", ["brightest"], ["level"], to=TensorProto.INT64),
        helper.make_node("Mul", ["level", "steps_per_level"], ["steps"]),
        helper.make_node("ConstantOfShape", ["side"], ["zeros"]),
        helper.make_node("Loop", ["steps", "", "zeros"], ["zeros_again"], body=body),
        helper.make_node("ReduceSum", ["zeros_again"], ["zero"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["product"]),
        helper.make_node("Add", ["product", "zero"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(SLOW_STEPS_PER_LEVEL, np.int64), "steps_per_level"),
        numpy_helper.from_array(np.array([256, 256], np.int64), "side"),
    ]
    return graph("slow", nodes, [], constants)


def graph(
    name: str,
    nodes: list[onnx.NodeProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto],
) -> onnx.GraphProto:
    weights = np.outer([1, 1, -1], np.arange(8) / 8).astype(np.float32)
    return helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("face", TensorProto.UINT8, ["n", 112, 112, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 8]), *outputs],
        [numpy_helper.from_array(weights, "weights"), *constants],
    )


CONFIG = """name: "emotion_{name}"
backend: "onnxruntime"
max_batch_size: 64
input {{ name: "face" data_type: TYPE_UINT8 dims: [ 112, 112, 3 ] }}
output {{ name: "logits" data_type: TYPE_FP32 dims: [ 8 ] }}
{features}instance_group {{ kind: KIND_CPU count: 1 }}
dynamic_batching {{ }}
parameters {{ key: "intra_op_thread_count" value: {{ string_value: "1" }} }}
"""


def write(name: str, built: onnx.GraphProto) -> None:
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    folder = HERE / f"emotion_{name}"
    (folder / "1").mkdir(parents=True, exist_ok=True)
    data = model.SerializeToString()
    (folder / "1" / "model.onnx").write_bytes(data)
    has_features = name == "tiny"
    features = 'output { name: "features" data_type: TYPE_FP32 dims: [ 3, 4, 4 ] }\n' if has_features else ""
    (folder / "config.pbtxt").write_text(CONFIG.format(name=name, features=features))
    card = {
        "name": name,
        "version": "1",
        "description": "A graph for tests; it knows nothing of emotions.",
        "architecture": "mean colour, linear",
        "labels": ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"],
        "data": [{"name": "none", "terms": "none needed", "rows": 1}],
        "metrics": [
            {
                "name": "accuracy",
                "value": 0.125,
                "measured_on": "nothing: chance",
                "command": "none",
                "date": "2026-11-21",
            }
        ],
        "temperature": 1.0,
        "uncertain_below": 0.0,
        "opset": 17,
        "sha256": hashlib.sha256(data).hexdigest(),
        "features_output": has_features,
        "training_config": {},
        "training_config_sha256": hashlib.sha256(b"{}").hexdigest(),
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")


write("tiny", tiny())
write("slow", slow())

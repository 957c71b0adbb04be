"""Write ONNX graphs that the oldest supported Triton loads."""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from fercore.contracts.card import FACE_SIZE, FEATURES_NAME, INPUT_NAME, LOGITS_NAME

OPSET, IR_VERSION = 17, 8
"""The stock 24.10 Triton loads opset <= 18 and IR <= 9."""

BATCH_AXIS = "n"


def to_onnx(servable: nn.Module) -> bytes:
    """Trace a module from uint8 crops to (logits, features) into an ONNX file's bytes."""
    example = torch.zeros(2, FACE_SIZE, FACE_SIZE, 3, dtype=torch.uint8)
    model = trace(
        servable.eval(),
        example,
        input_name=INPUT_NAME,
        outputs=(LOGITS_NAME, FEATURES_NAME),
        axes={name: {0: BATCH_AXIS} for name in (INPUT_NAME, LOGITS_NAME, FEATURES_NAME)},
    )
    _declare_shapes(model, servable(example))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def trace(
    network: nn.Module,
    example: Tensor,
    *,
    input_name: str,
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> onnx.ModelProto:
    """Trace a network of one input.

    Args:
        network: in evaluation mode.
        example: an input of the shape and dtype that is traced.
        input_name: of the input.
        outputs: names of the outputs, in order.
        axes: names of the axes of variable size, by input or output and axis.
    """
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated; the other needs more packages
        torch.onnx.export(
            network,
            (example,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=list(outputs),
            dynamic_axes={name: dict(named) for name, named in axes.items()},
        )
        model = onnx.load_model(file)
    model.ir_version = IR_VERSION
    return model


def _declare_shapes(model: onnx.ModelProto, outputs: tuple[Tensor, Tensor]) -> None:
    """Write the outputs' sizes into the graph: the tracer loses them behind the resize."""
    for declared, output in zip(model.graph.output, outputs, strict=True):
        for axis, size in list(zip(declared.type.tensor_type.shape.dim, output.shape, strict=True))[1:]:
            axis.dim_value = size

"""INT8 and FP16 variants of an exported model: smaller or faster, refused if too many labels differ.

INT8 is what CPUs with VNNI run fast: static QDQ, unsigned activations, signed weights for each channel
(U8S8), calibrated on training crops.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnxconverter_common import float16
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from typing_extensions import override

from fercore.contracts.card import INPUT_NAME, ModelCard
from fercore.inference.backend import MAX_BATCH
from training.config import RunConfig
from training.data.faces import DataSet
from training.errors import TrainingError
from training.exporting.export import VERSION, Export, write_model
from training.exporting.onnx import IR_VERSION
from training.measuring import graphs
from training.measuring.timing import time_graphs

Precision = Literal["int8", "fp16"]

LEAST_AGREEMENT = 0.99
"""Of the labels on the validation split, between a variant and the model it is made of."""

CALIBRATION_FACES = 1024
QUANTISED_OPERATORS = ["Conv", "MaxPool"]
"""The preprocessing and the small last layer stay in floating point: they cost accuracy and save nothing."""

_PREPROCESSING = "/preprocessing/"
"""What the tracer calls the nodes of `networks.preprocessing`; half precision would cost grey levels."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A written variant, compared with its original.

    Attributes:
        card: of the variant.
        agreement: share of equal labels on the validation split.
        accuracy: of both on it, the original first.
        face_ms: median time for one face on one thread of this CPU, the original first.
        file_bytes: of both graphs, the original first.
    """

    card: ModelCard
    agreement: float
    accuracy: tuple[float, float]
    face_ms: tuple[float, float]
    file_bytes: tuple[int, int]


def make_variant(
    source: Path, card: ModelCard, precision: Precision, *, reduce_range: bool, data: DataSet, target: Export
) -> Variant:
    """Write a variant of the model folder `source` as `target`.

    Args:
        source: folder of an FP32 model.
        card: its card.
        precision: of the variant.
        reduce_range: INT8 weights of 7 bits, for CPUs without VNNI, whose 16-bit sums may overflow.
        data: what the model was trained on; calibrates INT8 (training split) and measures.
        target: what the variant is called and where it goes.

    Raises:
        TrainingError: fewer than 99 % of the labels agree; nothing is written.
    """
    bits = " with weights of 7 bits" if reduce_range else ""
    description = f"{card.description}, {precision.upper()}{bits}"
    target = replace(target, description=description, quality_bounds=card.quality_bounds)
    file = source / card.version / "model.onnx"
    validation = data.splits["validation"]
    original = graphs.run_folder(source, validation.crop())
    answers: list[graphs.Logits] = []

    def check(folder: Path) -> None:
        answers.append(graphs.run_folder(folder, validation.crop()))
        agreement = _agreement(original, answers[0])
        if agreement < LEAST_AGREEMENT:
            before, after = (_accuracy(logits, validation.majority) for logits in (original, answers[0]))
            raise TrainingError(
                f"variant refused: {round(agreement * len(original))} of {len(original)} labels are those of "
                f"{source.name}, fewer than {LEAST_AGREEMENT:.0%}; accuracy {before:.4f} -> {after:.4f}"
            )

    if precision == "int8":
        graph = to_int8(file, data.splits["train"].crop(0, CALIBRATION_FACES), reduce_range=reduce_range)
    else:
        graph = to_fp16(file)
    written = write_model(graph, check, RunConfig.model_validate(card.training_config), data, target)
    ours = target.folder / VERSION / "model.onnx"
    before, after = time_graphs([file, ours], validation.crop(0, 1))
    return Variant(
        card=written,
        agreement=_agreement(original, answers[0]),
        accuracy=(_accuracy(original, validation.majority), _accuracy(answers[0], validation.majority)),
        face_ms=(before, after),
        file_bytes=(file.stat().st_size, ours.stat().st_size),
    )


def to_int8(file: Path, crops: graphs.Crops, *, reduce_range: bool = False) -> bytes:
    """Quantise a graph's convolutions, calibrated on uint8 crops [n, 112, 112, 3]."""
    with tempfile.TemporaryDirectory() as folder:
        prepared, quantised = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(file, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            _Crops(crops),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=reduce_range,
            calibrate_method=CalibrationMethod.Percentile,
            op_types_to_quantize=QUANTISED_OPERATORS,
        )
        model = onnx.load_model(quantised)
    return _finish(model)


def to_fp16(file: Path) -> bytes:
    """Store and compute in half precision; crops come in as bytes and logits go out as FP32."""
    model = onnx.load_model(file)
    del model.graph.value_info[:]  # they hold the old types
    pixels = [node.name for node in model.graph.node if node.name.startswith(_PREPROCESSING)]
    blocked = [*float16.DEFAULT_OP_BLOCK_LIST, "ReduceMean"]
    half = float16.convert_float_to_float16(
        model, keep_io_types=True, node_block_list=pixels, op_block_list=blocked
    )
    return _finish(half)


class _Crops(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Hands crops to the calibration in batches, which must be of equal length: a rest is left out."""

    def __init__(self, crops: graphs.Crops) -> None:
        size = min(MAX_BATCH, len(crops))
        self._batches = iter(np.split(crops[: len(crops) // size * size], len(crops) // size))

    @override
    def get_next(self) -> dict[str, graphs.Crops] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT_NAME: batch}


def _finish(model: onnx.ModelProto) -> bytes:
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _agreement(one: graphs.Logits, other: graphs.Logits) -> float:
    return float((one.argmax(axis=1) == other.argmax(axis=1)).mean())


def _accuracy(logits: graphs.Logits, majority: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == majority).mean())

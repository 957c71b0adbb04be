"""Turn a run into a folder of the model repository: graph, Triton config, card.

A folder is written whole or not at all.
"""

import hashlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from fercore.contracts.card import (
    FACE_SIZE,
    FEATURES_NAME,
    INPUT_NAME,
    LOGITS_NAME,
    Metric,
    ModelCard,
    QualityBounds,
)
from fercore.inference.backend import MAX_BATCH
from fercore.inference.calibration import softmax
from fercore.inference.repository import FOLDER_PREFIX
from training.config import RunConfig
from training.data.faces import DataSet, Split
from training.errors import TrainingError, explain
from training.exporting.onnx import OPSET, to_onnx
from training.learning import run_folder
from training.learning.atomic import atomic_folder
from training.learning.class_balance import find_logit_shift
from training.learning.run_folder import load_run
from training.measuring import graphs
from training.measuring.calibrate import count_shares, find_uncertain_bound, fit_temperature
from training.measuring.evaluate import evaluate
from training.measuring.models import CARD, format_card
from training.networks.build import Servable

TOLERANCE = 1e-4
"""Largest difference of a logit between torch and the exported graph."""

PARITY_FACES = 512
VERSION = "1"
CARD_SUBSETS = ("all", "without_either")


@dataclass(frozen=True, slots=True)
class Export:
    """The name, place and card of an export.

    Attributes:
        name: of the model.
        repository: it goes into this folder.
        reported: splits that are measured for the card.
        made_by: the command that makes it.
        data_arguments: what every command needs to find the data, nothing where the default does.
        logit_adjustment: tau of `find_logit_shift`.
        description: the card's, if not the usual one.
        quality_bounds: the card's; `python -m training quality --write` measures them.
    """

    name: str
    repository: Path
    reported: tuple[Split, ...]
    made_by: str
    data_arguments: tuple[str, ...] = ()
    logit_adjustment: float = 0.0
    description: str = ""
    quality_bounds: QualityBounds = field(default_factory=QualityBounds)

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.repository / f"{FOLDER_PREFIX}{self.name}"

    def measured_by(self, split: Split) -> str:
        """Return the command that measures the model on a split."""
        measuring = ("python", "-m", "training", "evaluate", str(self.folder), "--split", split)
        return shlex.join([*measuring, *self.data_arguments])


def export(run: Path, data: DataSet, target: Export) -> ModelCard:
    """Write `<repository>/emotion_<name>/`, replacing what was there.

    Raises:
        TrainingError: the run is incomplete, its labels are not the data set's, or the graph's answers
            differ from torch's.
    """
    config, servable = load_run(run)
    if run_folder.load_labels(run) != data.labels:
        raise TrainingError(f"export refused: {run} was trained on other labels than the data set has")
    if config.forest is not None:
        raise TrainingError(f"{run} carries a forest: export it with `python -m training hybrid`")
    if target.logit_adjustment:
        votes = torch.from_numpy(data.splits["train"].votes)
        servable.shift = find_logit_shift(votes.float(), target.logit_adjustment)
    crops = data.splits["validation"].crop(0, PARITY_FACES)
    graph = to_onnx(servable)
    return write_model(graph, lambda folder: check_parity(servable, folder, crops), config, data, target)


def write_model(
    graph: bytes, check: Callable[[Path], object], config: RunConfig, data: DataSet, target: Export
) -> ModelCard:
    """Write a graph of the tensor contract as a whole folder, replacing what was there.

    Args:
        graph: an ONNX file's bytes.
        check: raises TrainingError when the graph in the folder it is given answers wrongly.
        config: what the graph was made from.
        data: what it was trained on and is measured on.
        target: what it is called and where it goes.

    Raises:
        TrainingError: the check fails, the card would have an empty field, or the disk is full.
    """
    with atomic_folder(target.folder) as folder:
        (folder / VERSION).mkdir()
        (folder / VERSION / "model.onnx").write_bytes(graph)
        features = graphs.read_output_shape(graph, FEATURES_NAME)
        (folder / "config.pbtxt").write_text(
            format_triton_config(target.folder.name, len(data.labels), features), encoding="utf-8"
        )
        check(folder)
        try:
            card = _make_card(config, data, target, folder, hashlib.sha256(graph).hexdigest())
        except ValidationError as err:
            raise TrainingError(f"export refused: the card is not complete: {explain(err, 'card')}") from err
        (folder / CARD).write_text(format_card(card), encoding="utf-8")
    return card


def check_parity(servable: Servable, folder: Path, crops: graphs.Crops) -> float:
    """Compare torch with the written graph, uint8 crops in and logits out.

    Raises:
        TrainingError: a logit differs by more than `TOLERANCE`.
    """
    difference = float(np.abs(graphs.run_torch(servable, crops) - graphs.run_folder(folder, crops)).max())
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"export refused: the graph's logits differ from torch's by {difference:.2g} (> {TOLERANCE:g})"
        )
    return difference


def format_triton_config(name: str, classes: int, features: list[int]) -> str:
    """Return the `config.pbtxt` of a model: batches are formed without waiting, one thread an instance.

    Args:
        name: the folder's.
        classes: how many logits.
        features: shape of the feature output without the batch axis.
    """
    outputs = ((LOGITS_NAME, [classes]), (FEATURES_NAME, features))
    return "\n".join(
        [
            f'name: "{name}"',
            'backend: "onnxruntime"',
            f"max_batch_size: {MAX_BATCH}",
            f'input [ {{ name: "{INPUT_NAME}" data_type: TYPE_UINT8 dims: {[FACE_SIZE, FACE_SIZE, 3]} }} ]',
            "output [",
            ",\n".join(f'  {{ name: "{o}" data_type: TYPE_FP32 dims: {dims} }}' for o, dims in outputs),
            "]",
            "dynamic_batching { }",
            "instance_group [ { count: 1 kind: KIND_CPU } ]",
            *(
                f'parameters {{ key: "{key}" value: {{ string_value: "1" }} }}'
                for key in ("intra_op_thread_count", "inter_op_thread_count")
            ),
            "",
        ]
    )


def _make_card(config: RunConfig, data: DataSet, target: Export, folder: Path, sha256: str) -> ModelCard:
    validation = data.splits["validation"]
    logits = graphs.run_folder(folder, validation.crop())
    temperature = fit_temperature(logits, validation.majority)
    bound, right_above, above = find_uncertain_bound(softmax(logits, temperature), validation.majority)
    measured = f"{config.data.name} {data.name_of('validation')}, {len(validation)} majority rows"
    today = datetime.now(tz=UTC).date().isoformat()
    metrics = [
        Metric(name=name, value=round(value, 4), measured_on=measured, command=target.made_by, date=today)
        for name, value in (("accuracy_above_uncertain_bound", right_above), ("share_above_bound", above))
    ]
    for split in target.reported:
        faces = data.splits[split]
        answers = logits if split == "validation" else graphs.run_folder(folder, faces.crop())
        command = target.measured_by(split)
        for subset, measures in evaluate(faces, answers, temperature, data.labels).items():
            if subset not in CARD_SUBSETS:
                continue
            where = f"{config.data.name} {data.name_of(split)}, {measures.rows} majority rows ({subset})"
            figures = {
                "accuracy": measures.accuracy,
                "balanced_accuracy": measures.balanced_accuracy,
                "macro_f1": measures.macro_f1,
                "expected_calibration_error": measures.expected_calibration_error,
            }
            metrics += [
                Metric(name=name, value=round(value, 4), measured_on=where, command=command, date=today)
                for name, value in figures.items()
            ]
    seen = config.preprocessing
    adjusted = f", logits adjusted post hoc by {target.logit_adjustment:g}" if target.logit_adjustment else ""
    return ModelCard(
        name=target.name,
        version=VERSION,
        description=target.description
        or f"{config.title} on {seen.colour} faces of {seen.size} px{adjusted}",
        architecture=config.title,
        labels=data.labels,
        data=data.sources,
        metrics=tuple(metrics),
        temperature=temperature,
        uncertain_below=bound,
        quality_bounds=target.quality_bounds,
        training_shares=count_shares(validation.majority, data.labels),
        opset=OPSET,
        sha256=sha256,
        features_output=True,
        training_config=config.model_dump(mode="json"),
        training_config_sha256=config.sha256(),
    )

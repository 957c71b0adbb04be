"""The models that run on this machine: a run, a model folder, or an ONNX file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from pydantic import ValidationError

from fercore.contracts.card import LOGITS_NAME, ModelCard
from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.contracts.prior import TRAINING, WrongPrior, read_shares
from fercore.inference.calibration import compute_log_weights, softmax
from training.config import DataConfig
from training.errors import TrainingError
from training.learning import run_folder
from training.learning.atomic import write_atomic
from training.learning.run_folder import load_run
from training.measuring import graphs
from training.measuring.evaluate import fold
from training.measuring.graphs import Crops, Logits
from training.measuring.metrics import Labels, Probabilities

CARD = "card.json"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that runs on faces.

    Attributes:
        emotions: its labels, in canonical order.
        temperature: divides its logits.
        data: what it was trained on, if that is known.
        run: gives logits [n, K] for crops [n, 112, 112, 3].
        training_shares: what its probabilities are calibrated for; None: it can answer for no other prior.
        is_run: it is a run's folder, which has no card.
    """

    emotions: tuple[Emotion, ...]
    temperature: float
    data: DataConfig | None
    run: Callable[[Crops], Logits]
    training_shares: dict[Emotion, float] | None = None
    is_run: bool = False

    def answer(self, crops: Crops, prior: str = TRAINING) -> Probabilities:
        """Return calibrated probabilities [n, K], corrected for a prior as served.

        Raises:
            TrainingError: it cannot be run, gives another number of logits than it has labels, or cannot
                answer for this prior.
        """
        return self.judge(self.logits(crops), prior)

    def logits(self, crops: Crops) -> Logits:
        """Return logits [n, K]; raises TrainingError as `answer` does."""
        logits = self.run(crops)
        if logits.shape[1] != len(self.emotions):
            raise TrainingError(f"the model gives {logits.shape[1]} logits for {len(self.emotions)} labels")
        return logits

    def judge(self, logits: Logits, prior: str = TRAINING) -> Probabilities:
        """Turn logits [n, K] into probabilities; raises TrainingError as `expect` does."""
        expected = self.expect(prior)
        if expected is None or self.training_shares is None:
            return softmax(logits, self.temperature)
        weights = compute_log_weights(list(self.training_shares.values()), list(expected.values()))
        return softmax(logits, self.temperature, weights)

    def expect(self, prior: str) -> dict[str, float] | None:
        """Read a prior as shares of its emotions, in their order; None: nothing is corrected.

        Raises:
            TrainingError: the prior is none, or the model does not state what it is calibrated for.
        """
        try:
            expected = read_shares(prior, self.emotions)
        except WrongPrior as err:
            raise TrainingError(f"--prior {prior}: {err}") from err
        if expected is not None and self.training_shares is None:
            raise TrainingError(
                f"--prior {prior}: the model states no training_shares, so it can answer with training only; "
                "export it again"
            )
        return expected

    def choose(self, crops: Crops, among: tuple[Emotion, ...]) -> Labels:
        """Return the top one of some emotions for each crop, int64 [n], index in `among`.

        Raises:
            TrainingError: as `answer`, or it does not know one of them.
        """
        return np.asarray(fold(self.answer(crops), self.emotions, among).argmax(axis=1), np.int64)


def open_model(path: Path, *, threads: int) -> LocalModel:
    """Open a run's folder, a folder of the model repository, or an ONNX file of the tensor contract.

    An ONNX file takes labels and temperature from the card of the model folder that it lies in; without
    one it must have a logit for each of the eight emotions, and its temperature is 1.

    Raises:
        TrainingError: it is none of these, or broken.
    """
    if (path / run_folder.CONFIG).exists():
        config, servable = load_run(path)
        labels = run_folder.load_labels(path)
        return LocalModel(
            labels, 1.0, config.data, lambda crops: graphs.run_torch(servable, crops), is_run=True
        )
    if path.suffix == ".onnx":
        return _open_file(path, threads)
    return _wrap(read_card(path), lambda crops: graphs.run_folder(path, crops, threads=threads))


def find_graph(path: Path) -> Path:
    """Return the ONNX file of a folder of the model repository, or the file itself.

    Raises:
        TrainingError: it is neither.
    """
    graph = path if path.suffix == ".onnx" else path / read_card(path).version / "model.onnx"
    if not graph.is_file():
        raise TrainingError(f"there is no file {graph}")
    return graph


def _open_file(path: Path, threads: int) -> LocalModel:
    def run(crops: Crops) -> Logits:
        return graphs.run_file(path, crops, threads=threads)

    folder = find_graph(path).resolve().parent.parent
    if (folder / CARD).exists():
        return _wrap(read_card(folder), run)
    try:
        logits = graphs.read_output_shape(path.read_bytes(), LOGITS_NAME)
    except (KeyError, DecodeError, OSError) as err:
        raise TrainingError(f"{path} is not an ONNX graph with an output {LOGITS_NAME!r}") from err
    if logits != [len(EMOTIONS)]:
        raise TrainingError(f"{path} has {logits} logits and no {CARD} beside that says for which emotions")
    return LocalModel(EMOTIONS, 1.0, None, run)


def _wrap(card: ModelCard, run: Callable[[Crops], Logits]) -> LocalModel:
    try:
        data = DataConfig.model_validate(card.training_config.get("data"))
    except ValidationError:  # not made by this kit; --dataset says what to measure it on
        data = None
    return LocalModel(card.labels, card.temperature, data, run, card.training_shares)


def read_card(folder: Path) -> ModelCard:
    """Read the card of a model folder.

    Raises:
        TrainingError: there is none, or it is broken.
    """
    try:
        return ModelCard.model_validate_json((folder / CARD).read_bytes())
    except OSError as err:
        raise TrainingError(
            f"{folder} is neither a run nor a model folder with a card.json, nor an ONNX file or an address"
        ) from err
    except ValidationError as err:
        raise TrainingError(f"{folder / CARD} is not a model card ({err.error_count()} faults)") from err


def write_card(folder: Path, card: ModelCard) -> None:
    """Write a model folder's card; raises TrainingError, for example when the disk is full."""
    write_atomic(folder / CARD, format_card(card).encode())


def format_card(card: ModelCard) -> str:
    """Return the text of a card's file."""
    return card.model_dump_json(indent=2) + "\n"

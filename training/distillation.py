"""Learn from a finished run's answers beside the labels (Hinton, Vinyals and Dean, 2015).

Knows no training loop.
"""

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from tqdm import tqdm

from training.config import RunConfig
from training.device import autocast
from training.errors import TrainingError
from training.faces import Faces
from training.inheritance import knows_other_labels, load_ancestor
from training.mixup import Mixture
from training.networks import Servable
from training.prepared import CHUNK


class Teacher:
    """Answers every batch, or has answered all faces beforehand.

    Args:
        network: from preprocessed faces to logits.
        answers: float32 [n, K], logits of all training faces; None: each batch is shown to the network.
        temperature: divides both sides' logits.
        precision: what the network computes in.
    """

    def __init__(
        self, network: nn.Module, answers: Tensor | None, *, temperature: float, precision: str
    ) -> None:
        self._network = network
        self._answers = answers
        self._temperature = temperature
        self._precision = precision

    def loss(self, logits: Tensor, batch: Mixture) -> Tensor:
        """Map the pupil's logits, float32 [n, K], to its mean distance from the teacher's answers."""
        answers = self._answers
        if answers is not None:
            return batch.weigh(lambda rows: distance(logits, answers[rows], self._temperature)).mean()
        with torch.no_grad(), autocast(batch.faces.device, self._precision):
            shown, _ = self._network(batch.faces)
        return distance(logits, shown.float(), self._temperature).mean()


def distance(pupil: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Give the divergence of softened answers from logits [n, K], float32 [n].

    It is multiplied by the temperature's square, so that gradients are as large as those of the labels.
    """
    softened = F.log_softmax(pupil / temperature, dim=1), F.log_softmax(teacher / temperature, dim=1)
    return F.kl_div(*softened, reduction="none", log_target=True).sum(dim=1) * temperature**2


def load_teacher(config: RunConfig, faces: Faces, run: Path, device: torch.device) -> Teacher | None:
    """Call in the teacher that a config names, if any.

    Raises:
        TrainingError: it is no finished run, or does not see or answer as the pupil does.
    """
    wanted = config.distillation
    if wanted is None:
        return None
    ancestor = Path(wanted.teacher)
    teaching, servable = load_ancestor(ancestor, run, "teacher")
    if knows_other_labels(ancestor, run):
        raise TrainingError(f"teacher {ancestor} was trained on other labels: its answers mean nothing here")
    is_alike = teaching.preprocessing == config.preprocessing and not config.preprocessing.components
    if wanted.view == "same" and not is_alike:
        raise TrainingError(f"teacher {ancestor} has other preprocessing or components: take view: clean")
    servable = servable.to(device)
    answers = _answer_all(servable, faces, device) if wanted.view == "clean" else None
    return Teacher(servable.network, answers, temperature=wanted.temperature, precision=config.fit.precision)


def _answer_all(servable: Servable, faces: Faces, device: torch.device) -> Tensor:
    starts = tqdm(range(0, len(faces), CHUNK), desc="asking the teacher", unit="batch")
    with torch.no_grad():
        crops = (torch.from_numpy(faces.crops(start, start + CHUNK)).to(device) for start in starts)
        return torch.cat([servable(part)[0].float() for part in crops])

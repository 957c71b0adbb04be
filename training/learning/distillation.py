"""Learn from a finished run's answers as well as from labels (Hinton, Vinyals and Dean, 2015)."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from tqdm import tqdm
from typing_extensions import override

from training.config import RunConfig
from training.data.faces import Faces
from training.errors import TrainingError
from training.learning.augmentation import Mixture
from training.learning.device import autocast
from training.learning.prepared import CHUNK
from training.learning.warm_start import knows_other_labels, load_ancestor
from training.networks.build import Servable


class Teacher:
    """Answers every batch, or has answered all faces in advance.

    Args:
        network: from preprocessed faces to logits.
        answers: float32 [n, K], logits of all training faces; None: the network runs on each batch.
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
        """Map the student's logits, float32 [n, K], to its mean distance from the teacher's answers."""
        answers = self._answers
        if answers is not None:
            return batch.weigh(lambda rows: distance(logits, answers[rows], self._temperature)).mean()
        with torch.no_grad(), autocast(batch.faces.device, self._precision):
            shown, _ = self._network(batch.faces)
        return distance(logits, shown.float(), self._temperature).mean()


def distance(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute the divergence of softened answers from logits [n, K], float32 [n].

    It is multiplied by the temperature's square, so that gradients are as large as those of the labels.
    """
    softened = F.log_softmax(student / temperature, dim=1), F.log_softmax(teacher / temperature, dim=1)
    return F.kl_div(*softened, reduction="none", log_target=True).sum(dim=1) * temperature**2


class TeacherEnsemble(nn.Module):
    """Networks that answer as one: by the mean of their probabilities.

    An ensemble teaches more than its best member (Hinton, Vinyals and Dean, 2015).
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @override
    def forward(self, faces: Tensor) -> tuple[Tensor, None]:
        """Map what each member takes to logits float32 [n, K]."""
        chances = torch.stack([member(faces)[0].float().softmax(dim=1) for member in self.members])
        return chances.mean(dim=0).clamp(min=1e-8).log(), None


def load_teacher(config: RunConfig, faces: Faces, run: Path, device: torch.device) -> Teacher | None:
    """Load the teachers that a config names, if any.

    Raises:
        TrainingError: one is not a finished run, or does not see or answer as the student does.
    """
    wanted = config.distillation
    if wanted is None:
        return None
    members = [
        _load_teacher(Path(ancestor), f"teacher {number}" if number else "teacher", config, run).to(device)
        for number, ancestor in enumerate(wanted.teachers)
    ]
    # for the same view the faces come preprocessed; one that answers in advance preprocesses them itself
    view = [member.network for member in members] if wanted.view == "same" else members
    ensemble = view[0] if len(view) == 1 else TeacherEnsemble(view).eval()
    answers = _answer_all(ensemble, faces, device) if wanted.view == "clean" else None
    return Teacher(ensemble, answers, temperature=wanted.temperature, precision=config.fit.precision)


def _load_teacher(ancestor: Path, role: str, config: RunConfig, run: Path) -> Servable:
    teaching, servable = load_ancestor(ancestor, run, role)
    if knows_other_labels(ancestor, run):
        raise TrainingError(f"teacher {ancestor} was trained on other labels: its answers mean nothing here")
    is_alike = teaching.preprocessing == config.preprocessing and not config.preprocessing.components
    if config.distillation and config.distillation.view == "same" and not is_alike:
        raise TrainingError(f"teacher {ancestor} has other preprocessing or components: take view: clean")
    return servable


def _answer_all(network: nn.Module, faces: Faces, device: torch.device) -> Tensor:
    starts = tqdm(range(0, len(faces), CHUNK), desc="running the teacher", unit="batch")
    with torch.no_grad():
        crops = (torch.from_numpy(faces.crop(start, start + CHUNK)).to(device) for start in starts)
        return torch.cat([network(part)[0].float() for part in crops])

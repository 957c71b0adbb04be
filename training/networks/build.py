"""Build the network that a config names, and what the graph holds: preprocessing and network as one."""

from typing import Protocol, cast, runtime_checkable

from pydantic import ValidationError
from torch import Tensor, nn
from typing_extensions import override

from fercore.contracts.emotions import EMOTIONS
from fercore.plugins import load_plugin, plugin_names
from training.config import ArchitectureConfig
from training.errors import TrainingError, explain
from training.networks import architectures
from training.networks.preprocessing import Preprocessing


class _Architecture(Protocol):
    def build(self, classes: int, options: dict[str, object]) -> nn.Module: ...


def build_network(config: ArchitectureConfig, classes: int = len(EMOTIONS)) -> nn.Module:
    """Build the network that the config names, with fresh weights.

    Raises:
        TrainingError: no such architecture, or an option is wrong.
    """
    try:
        module = cast("_Architecture", load_plugin(architectures, config.name))
    except LookupError as err:
        known = ", ".join(plugin_names(architectures))
        raise TrainingError(f"no architecture {config.name!r}; there are: {known}") from err
    try:
        return module.build(classes, config.options)
    except ValidationError as err:
        raise TrainingError(f"architecture.options of {config.name}: {explain(err, 'options')}") from err


def build_initial(config: ArchitectureConfig, classes: int = len(EMOTIONS)) -> nn.Module:
    """Build the network that a new run starts from, with the pretrained weights that its options name.

    Raises:
        TrainingError: as for `build_network`, or the weights cannot be fetched or read, or do not fit.
    """
    network = build_network(config, classes)
    if isinstance(network, StartsPretrained):
        network.load_pretrained()
    return network


@runtime_checkable
class StartsPretrained(Protocol):
    """A network whose options may name weights to start from (a finished run has its own)."""

    def load_pretrained(self) -> None:
        """Load the weights that the options name, if any."""
        ...


class Servable(nn.Module):
    """The whole graph: uint8 crops in, logits and features out.

    Attributes:
        shift: float32 [K], added to the logits; None: they stay as the network gives them.
    """

    shift: Tensor | None

    def __init__(self, preprocessing: Preprocessing, network: nn.Module) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.network = network
        self.register_buffer("shift", None)

    @override
    def forward(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 [n, 112, 112, 3] to logits float32 [n, K] and features float32 [n, C, h, w]."""
        logits, features = self.network(self.preprocessing(face))
        return logits if self.shift is None else logits + self.shift, features

"""Make a face detector of `services/detector/detectors/` by its name, for training's own use."""

from pathlib import Path

from fercore.plugins import load_plugin, plugin_names
from fercore.vision.detection import Detector
from services.detector import detectors
from training.errors import TrainingError


def make_detector(name: str, repository: Path) -> Detector:
    """Create a face detector by its plug-in's name.

    Raises:
        TrainingError: there is none of that name, or its weights are missing or wrong.
    """
    try:
        plugin = load_plugin(detectors, name)
    except LookupError as err:
        raise TrainingError(f"no detector {name!r}; there are: {', '.join(plugin_names(detectors))}") from err
    try:
        detector: Detector = plugin.create(repository)
    except (OSError, ValueError) as err:
        raise TrainingError(f"the detector {name} cannot be loaded: {err}") from err
    return detector

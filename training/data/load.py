"""Find data sets, architectures and detectors by file name.

Knows none of them and no torch: adding one is adding a file.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from pydantic import ValidationError

import services.detector.detectors
import training.data.sets
from fercore.plugins import load_plugin, plugin_names
from fercore.vision.detection import Detector
from training.config import DataConfig
from training.data.faces import DataSet
from training.errors import TrainingError, tell


class _Loader(Protocol):
    def load(self, folder: Path, training_rows: str, options: Mapping[str, object]) -> DataSet: ...


def load_data(config: DataConfig, folder: Path) -> DataSet:
    """Read the data set that the config names from the data folder.

    Raises:
        TrainingError: no such data set, an option is wrong, or its files are missing or wrong.
    """
    module = cast("_Loader", find_module(training.data.sets, "data set", config.name))
    try:
        return module.load(folder, config.training_rows, config.options)
    except ValidationError as err:
        raise TrainingError(f"data.options of {config.name}: {tell(err, 'options')}") from err


def make_detector(name: str, repository: Path) -> Detector:
    """Make a face detector by its plug-in's name.

    Raises:
        TrainingError: there is none of that name, or its weights are missing or wrong.
    """
    plugin = find_module(services.detector.detectors, "detector", name)
    try:
        detector: Detector = plugin.create(repository)
    except (OSError, ValueError) as err:
        raise TrainingError(f"the detector {name} cannot be loaded: {err}") from err
    return detector


def find_module(package: ModuleType, kind: str, name: str) -> ModuleType:
    """Import the module `name` of a package of plug-ins.

    Raises:
        TrainingError: there is none of that name; the message lists those there are.
    """
    names = plugin_names(package)
    if name not in names:
        raise TrainingError(f"no {kind} {name!r}; there are: {', '.join(names) or 'none'}")
    return load_plugin(package, name)

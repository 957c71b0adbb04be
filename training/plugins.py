"""Find data sets and architectures by file name.

Knows no data set, no architecture and no torch: adding one is adding a file.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from pydantic import ValidationError

import training.datasets
from training.config import DataConfig
from training.errors import TrainingError
from training.faces import DataSet


class _Loader(Protocol):
    def load(self, folder: Path, training_rows: str, options: Mapping[str, object]) -> DataSet: ...


def load_data(config: DataConfig, folder: Path) -> DataSet:
    """Read the data set that the config names from the data folder.

    Raises:
        TrainingError: no such data set, an option is wrong, or its files are missing or wrong.
    """
    module = cast("_Loader", find_module(training.datasets, "data set", config.name))
    try:
        return module.load(folder, config.training_rows, config.options)
    except ValidationError as err:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'options'}: {e['msg']}" for e in err.errors())
        raise TrainingError(f"data.options of {config.name}: {wrong}") from err


def find_module(package: ModuleType, kind: str, name: str) -> ModuleType:
    """Import the module `name` of a package of plug-ins.

    Raises:
        TrainingError: there is none of that name; the message lists those there are.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    if name not in names:
        raise TrainingError(f"no {kind} {name!r}; there are: {', '.join(names) or 'none'}")
    return importlib.import_module(f"{package.__name__}.{name}")

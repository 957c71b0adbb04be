"""Find a data set by its file name in `training/data/sets/`.

To add a data set, add a file there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from pydantic import ValidationError

from fercore.plugins import load_plugin, plugin_names
from training.config import DataConfig
from training.data import sets
from training.data.faces import DataSet
from training.errors import TrainingError, explain


class _Loader(Protocol):
    def load(self, folder: Path, training_rows: str, options: Mapping[str, object]) -> DataSet: ...


def load_data(config: DataConfig, folder: Path) -> DataSet:
    """Read the data set that the config names from the data folder.

    Raises:
        TrainingError: no such data set, an option is wrong, or its files are missing or wrong.
    """
    try:
        module = cast("_Loader", load_plugin(sets, config.name))
    except LookupError as err:
        raise TrainingError(
            f"no data set {config.name!r}; there are: {', '.join(plugin_names(sets))}"
        ) from err
    try:
        return module.load(folder, config.training_rows, config.options)
    except ValidationError as err:
        raise TrainingError(f"data.options of {config.name}: {explain(err, 'options')}") from err

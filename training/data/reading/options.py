"""Options that every reader of a data set has.

Each data set declares its own `Options` on top of these.
"""

from typing import Annotated

from pydantic import Field

from training.config import Section


class ReaderOptions(Section):
    """Fields that every reader has."""

    path: Annotated[str, Field(min_length=1, description="Folder of the set within the data folder")]


class SplitOptions(ReaderOptions):
    """How splits are cut that the data set does not have."""

    seed: Annotated[int, Field(ge=0, lt=2**31, description="The same seed cuts the same splits")] = 0
    share: Annotated[
        float, Field(gt=0, lt=0.5, description="Of training rows (or of persons) for each such split")
    ] = 0.1

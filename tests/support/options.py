"""What a test asks of a detector when it asks for nothing in particular."""

from fercore.contracts.api import PredictOptions
from fercore.contracts.messages import DetectOptions


def default_options(detector: str) -> DetectOptions:
    """The options of a caller who gives none."""
    return DetectOptions.of(PredictOptions(), detector=detector)

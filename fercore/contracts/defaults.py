"""The one place that names the default model and detector.

Every service's settings take these.
"""

DEFAULT_MODEL = "resnet15_int8"
"""A folder of `model_repository/`, without `emotion_`."""

DEFAULT_DETECTOR = "ferface"
"""A file of `services/detector/detectors/`."""

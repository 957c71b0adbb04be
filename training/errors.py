"""The one error that a user of `python -m training` meets: a single clear line.

Knows nothing of what went wrong.
"""


class TrainingError(Exception):
    """A wrong config, data set, run or model folder; the message is shown as it is."""

"""The one error that a user of `python -m training` meets: a single clear line."""

from pydantic import ValidationError


class TrainingError(Exception):
    """A wrong config, data set, run or model folder; the message is shown as it is."""


def explain(err: ValidationError, whole: str) -> str:
    """Describe each wrong field in one line; an error of no single field is called `whole`'s."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or whole}: {e['msg']}" for e in err.errors())

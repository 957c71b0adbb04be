"""Which mix of expressions a frame is answered for: what its caller asks, or the gateway's default.

Knows the offers of models, no message of a stream; the classifier corrects the probabilities.
"""

import logging
from collections.abc import Mapping

from fercore.contracts.errors import InvalidRequest, NoTrainingShares
from fercore.contracts.messages import ExpectedMix, ModelOffer
from fercore.contracts.prior import TRAINING, WrongPrior, read_name, read_shares
from services.gateway.directory import Directory

logger = logging.getLogger(__name__)


class Priors:
    """Refuses priors that a model cannot answer for.

    Args:
        directory: tells which models can, for the refusal.
        default: of callers who ask for none; a model that cannot answer for it answers as trained.
    """

    def __init__(self, directory: Directory, default: str) -> None:
        self._directory = directory
        self._default = default
        self._told: set[str] = set()

    def choose(self, text: str | None, model: ModelOffer) -> ExpectedMix | None:
        """Return what is to be assumed; None: the mix that the model was calibrated for.

        Args:
            text: the caller's, not `auto`; None where the caller leaves it to the gateway.
            model: which answers.

        Raises:
            NoTrainingShares: its card does not state the mix that it was calibrated for.
            InvalidRequest: it does not know an emotion that the prior names.
        """
        if text is not None:
            return self._read(text, model)
        try:
            return self._read(self._default, model)
        except InvalidRequest as err:
            if model.name not in self._told:  # once: it is the operator's to change
                self._told.add(model.name)
                logger.warning(
                    "a model answers as trained",
                    extra={"model": model.name, "reason": f"FER_PRIOR: {err.detail.removeprefix('prior: ')}"},
                )
            return None

    def find_training_shares(self, model: ModelOffer) -> Mapping[str, float]:
        """Return the mix that a model was calibrated for; raises `NoTrainingShares`."""
        if model.training_shares is None:
            able = [offer.name for offer in self._directory.offers.models if offer.training_shares]
            raise NoTrainingShares(model.name, able)
        return model.training_shares

    def _read(self, text: str, model: ModelOffer) -> ExpectedMix | None:
        if text == TRAINING:
            return None
        self.find_training_shares(model)
        try:
            shares = read_shares(text, model.labels)
        except WrongPrior as err:
            raise InvalidRequest(f"prior: {err} of the model {model.name!r}") from err
        return None if shares is None else ExpectedMix(name=read_name(text), shares=shares)

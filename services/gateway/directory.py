"""Which workers live and what they offer, as the gateway last read it from their announcements.

Knows offers, no messages; `/models`, `/detectors`, the 404s and the readiness come from here.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from fercore.contracts.errors import NotReady, UnknownDetector, UnknownModel, UpstreamUnavailable
from fercore.contracts.messages import ClassifierOffer, DetectorOffer, ModelOffer
from fercore.messaging.queue import FACES, FRAMES, Queue

REFRESH_EVERY_S = 0.25

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offers:
    """What all live workers offer together."""

    detectors: tuple[str, ...] = ()
    models: tuple[ModelOffer, ...] = ()


class Directory:
    """The offers as last seen."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._fault: str | None = "the queue was not reached yet"
        self.offers = Offers()

    async def keep_fresh(self) -> None:
        """Refresh at regular intervals, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_EVERY_S)

    async def refresh(self) -> None:
        """Read the offers once; an unreachable queue is remembered, not raised."""
        try:
            detector_bodies = await self._queue.offers(FRAMES.service)
            classifier_bodies = await self._queue.offers(FACES.service)
        except UpstreamUnavailable as err:
            self.offers, self._fault = Offers(), err.detail
            return
        detectors: set[str] = set()
        models: dict[str, ModelOffer] = {}
        for body in detector_bodies.values():
            detectors.update(_decoded(body, DetectorOffer, DetectorOffer(())).detectors)
        for body in classifier_bodies.values():
            offer = _decoded(body, ClassifierOffer, ClassifierOffer(()))
            models.update((model.name, model) for model in offer.models)
        self.offers = Offers(tuple(sorted(detectors)), tuple(models[name] for name in sorted(models)))
        self._fault = None

    def detector(self, name: str) -> str:
        """Make sure that a live worker offers this detector.

        Raises:
            UpstreamUnavailable: the queue cannot be reached.
            NotReady: no live worker offers any.
            UnknownDetector: others are offered, this one is not.
        """
        self._raise_fault()
        if not self.offers.detectors:
            raise NotReady("no detector is ready")
        if name not in self.offers.detectors:
            raise UnknownDetector(name, self.offers.detectors)
        return name

    def model(self, name: str) -> ModelOffer:
        """Return the offer of a model.

        Raises:
            UpstreamUnavailable: the queue cannot be reached.
            NotReady: no live worker offers any.
            UnknownModel: others are offered, this one is not.
        """
        self._raise_fault()
        if not self.offers.models:
            raise NotReady("no emotion model is ready")
        for model in self.offers.models:
            if model.name == name:
                return model
        raise UnknownModel(name, [model.name for model in self.offers.models])

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise UpstreamUnavailable(self._fault)


Offer = TypeVar("Offer", DetectorOffer, ClassifierOffer)


def _decoded(body: bytes, kind: type[Offer], otherwise: Offer) -> Offer:
    """Read an offer; one that another version wrote counts as none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        logger.warning("an offer cannot be read")
        return otherwise

"""Admission: a permit is taken at once, or the request is rejected; there is no wait queue."""

from typing import Self

from prometheus_client import Gauge

from fercore.contracts.errors import Overloaded


class Admission:
    """All that may be in flight in one process."""

    def __init__(self, *, max_inflight: int, max_inflight_bytes: int, gauge: Gauge) -> None:
        self._max_inflight = max_inflight
        self._max_bytes = max_inflight_bytes
        self._gauge = gauge
        self.inflight = 0
        self.inflight_bytes = 0

    def permit(self) -> "Permit":
        """Build an empty permit for one request, to be filled as the request arrives."""
        return Permit(self)

    def take(self, images: int, n_bytes: int) -> None:
        """Take all that is asked for, or nothing.

        Raises:
            Overloaded: not so much is free.
        """
        if self.inflight + images > self._max_inflight or self.inflight_bytes + n_bytes > self._max_bytes:
            raise Overloaded("too many images are in flight; try again")
        self._add(images, n_bytes)

    def give_back(self, images: int, n_bytes: int) -> None:
        """Free what a request has taken."""
        self._add(-images, -n_bytes)

    def _add(self, images: int, n_bytes: int) -> None:
        self.inflight += images
        self.inflight_bytes += n_bytes
        self._gauge.set(self.inflight)


class Permit:
    """What one request has taken; given back when its block ends."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._images = 0
        self._bytes = 0

    def take(self, images: int, n_bytes: int) -> None:
        """Take room for images and for bytes, all or nothing; raises `Overloaded`."""
        self._admission.take(images, n_bytes)
        self._images += images
        self._bytes += n_bytes

    def take_images(self, images: int) -> None:
        """Take room for so many images, all or none; raises `Overloaded`."""
        self.take(images, 0)

    def take_bytes(self, n_bytes: int) -> None:
        """Take room for bytes that have just arrived; raises `Overloaded`."""
        self.take(0, n_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.give_back(self._images, self._bytes)

"""Log once that something is away, and once that it is back, however often it is tried in between."""

import logging


class Outage:
    """What is known of one thing that may be away.

    Args:
        logger: of the module that uses the thing.
        away: the event when an outage begins.
        back: the event when it ends.
        about: details of both events.
    """

    def __init__(self, logger: logging.Logger, *, away: str, back: str, **about: str) -> None:
        self._logger = logger
        self._away, self._back = away, back
        self._about = about
        self.is_on = False

    def begins(self, reason: str) -> None:
        """Note that the thing did not answer; logs a warning if it did before."""
        if not self.is_on:
            self.is_on = True
            self._logger.warning(self._away, extra={**self._about, "reason": reason})

    def ends(self) -> None:
        """Note that the thing answered; logs a warning if it did not before."""
        if self.is_on:
            self.is_on = False
            self._logger.warning(self._back, extra=self._about)

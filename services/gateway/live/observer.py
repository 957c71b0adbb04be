"""The seam between a live session and whoever remembers what it saw.

Knows no store; `services.gateway.recordings` fills it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from fercore.contracts.live import Alert, StreamOptions
from services.gateway.live.observation import Observation


class SessionMemory(Protocol):
    """Remembers one session; made for it alone."""

    async def begin(self, options: StreamOptions) -> str | None:
        """Start; called once before the first observation, again only if it raised.

        Returns:
            The session id if the client asked for a record, otherwise None.

        Raises:
            FerError: what the client asked for cannot be had.
        """
        ...

    def observe(self, observation: Observation) -> Sequence[Alert]:
        """Take what was seen in the next frame and give the alerts that it caused; never raises."""
        ...

    async def end(self) -> None:
        """Write down what is left; called once however the session ended, begun or not; never raises."""
        ...


MakeMemory = Callable[[], SessionMemory]

"""The frames between a source and a connection: which is sent next, which are unanswered."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Generic

from ferclient.events import Frame
from ferclient.patience import Patience

MAX_UNANSWERED = 2
"""As many as a server works on at once for one session; more would only wait there and grow old."""

MAX_LOSSES = 3
"""A frame with which the connection was lost so often is not sent again."""


@dataclass(slots=True, eq=False)
class Pending(Generic[Frame]):
    """A frame on its way.

    Attributes:
        patience: with a server that cannot serve it now; begins with the first refusal.
        losses: how often the connection was lost while it was unanswered.
    """

    frame: Frame
    image: bytes
    patience: Patience | None = None
    losses: int = 0


class Window(Generic[Frame]):
    """Gives out a frame only when fewer than two are unanswered.

    Args:
        is_lossless: every frame is sent, and the source has to wait; otherwise a newer frame takes the place
            of one that was not sent yet.
    """

    def __init__(self, *, is_lossless: bool) -> None:
        self.skipped = 0
        self._is_lossless = is_lossless
        self._waiting: deque[Pending[Frame]] = deque()
        self._unanswered: dict[int, Pending[Frame]] = {}
        self._next_seq = 0
        self._is_over = False
        self._changed = asyncio.Condition()

    async def put(self, frame: Frame, image: bytes) -> None:
        """Take a frame from the source."""
        async with self._changed:
            if self._is_lossless:
                await self._changed.wait_for(lambda: not self._waiting)
            else:
                self.skipped += len(self._waiting)
                self._waiting.clear()
            self._waiting.append(Pending(frame, image))
            self._changed.notify_all()

    async def end(self) -> None:
        """Note that the source has no more."""
        async with self._changed:
            self._is_over = True
            self._changed.notify_all()

    async def next_image(self) -> bytes | None:
        """Wait for an image that may be sent; None when all are answered and none will come."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._may_send() or self._is_done())
            if not self._waiting:
                return None
            pending = self._waiting.popleft()
            self._unanswered[self._next_seq] = pending
            self._next_seq += 1
            self._changed.notify_all()
            return pending.image

    def unanswered(self, seq: int) -> Pending[Frame] | None:
        """Return the frame that was sent as the n-th of this connection; it stays unanswered."""
        return self._unanswered.get(seq)

    async def settle(self, seq: int) -> None:
        """Take out a frame that is answered."""
        async with self._changed:
            del self._unanswered[seq]
            self._changed.notify_all()

    async def send_again(self, seq: int) -> None:
        """Put an unanswered frame back in front."""
        async with self._changed:
            self._waiting.appendleft(self._unanswered.pop(seq))
            self._changed.notify_all()

    async def connection_lost(self) -> list[Frame]:
        """Begin to count anew; returns the frames that will not be sent again."""
        async with self._changed:
            lost = list(self._unanswered.values())
            self._unanswered.clear()
            self._next_seq = 0
            for pending in lost:
                pending.losses += 1
            kept = [pending for pending in lost if self._is_lossless and pending.losses < MAX_LOSSES]
            self._waiting.extendleft(reversed(kept))
            self._changed.notify_all()
            return [pending.frame for pending in lost if pending not in kept]

    def _may_send(self) -> bool:
        return bool(self._waiting) and len(self._unanswered) < MAX_UNANSWERED

    def _is_done(self) -> bool:
        return self._is_over and not self._waiting and not self._unanswered

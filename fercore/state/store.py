"""The seam between gateways and what outlives them: records with a lifetime, and tasks that are leased."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_TASKS = 10_000
"""More than so many are not taken in."""

TASK_LIFETIME_S = 86_400.0
"""A task that nobody finished by then is dropped."""


@dataclass(frozen=True, slots=True)
class Record:
    """Fields to be set; others of the same key stay."""

    key: str
    fields: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """All fields of a key, and for how long they are kept if nothing more is put."""

    fields: Mapping[str, bytes]
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class Task:
    """Something to be done once; `task_id` is the caller's, and random."""

    task_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a task for a while; attempt 1 is the first."""

    task: Task
    attempt: int


class StateStore(Protocol):
    """Where it is kept; every call raises `UpstreamUnavailable` in bounded time when it cannot be reached.

    A call that failed so may have been carried out all the same. All but `lease_tasks` may be repeated.
    """

    async def put(self, records: Sequence[Record], *, lifetime_s: float) -> list[bool]:
        """Set fields of many records in one round trip; each then lives for `lifetime_s` from now.

        Returns:
            For each record whether it was put; False is for one that was deleted.
        """
        ...

    async def get(self, key: str) -> StoredRecord | None:
        """Return a record, or None when there is none, it has expired or was deleted."""
        ...

    async def delete(self, key: str, *, lifetime_s: float) -> bool:
        """Remove a record; for `lifetime_s` nothing can be put under its key again.

        Returns:
            Whether there was one.
        """
        ...

    async def add_tasks(self, tasks: Sequence[Task]) -> list[bool]:
        """Add tasks in one round trip, due at once; one that is there already stays as it is.

        Returns:
            For each whether it is there now; False is for one beyond `MAX_TASKS`.
        """
        ...

    async def lease_tasks(self, *, max_n: int, lease_s: float) -> list[Lease]:
        """Take up to `max_n` tasks that are due, the longest due first; others get them after `lease_s`."""
        ...

    async def finish_task(self, lease: Lease) -> None:
        """Remove a task, whoever has it."""
        ...

    async def postpone_task(self, lease: Lease, *, delay_s: float) -> None:
        """Postpone a task by `delay_s`, unless another has taken it since."""
        ...

    async def close(self) -> None:
        """Close connections and release memory."""
        ...

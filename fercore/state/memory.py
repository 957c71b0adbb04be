"""The store of a single process and of tests: gone when the process ends."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fercore.contracts.errors import UpstreamUnavailable
from fercore.state.store import MAX_TASKS, TASK_LIFETIME_S, Lease, Record, StoredRecord, Task

MAX_BYTES = 100_000_000
"""Contents of fields; with what Python needs beside them about three times as much memory."""


@dataclass(slots=True)
class _Kept:
    expires_s: float
    fields: dict[str, bytes] | None = field(default_factory=dict)
    """None is the mark of a deleted record."""

    @property
    def size(self) -> int:
        return sum(map(len, self.fields.values())) if self.fields else 0


@dataclass(slots=True)
class _Waiting:
    task: Task
    expires_s: float
    due_s: float
    attempt: int = 0


class InMemoryState:
    """The `StateStore` protocol within one event loop.

    Args:
        clock: monotonic seconds; tests set their own to let time pass.
        max_bytes: a put beyond it is refused, as a full Redis does.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._bytes = 0
        self._records: dict[str, _Kept] = {}
        self._tasks: dict[str, _Waiting] = {}

    async def put(self, records: Sequence[Record], *, lifetime_s: float) -> list[bool]:
        """Set fields of many records."""
        self._forget_what_expired()
        return [self._put(record, lifetime_s) for record in records]

    async def get(self, key: str) -> StoredRecord | None:
        """Return a record, or None."""
        self._forget_what_expired()
        kept = self._records.get(key)
        if kept is None or kept.fields is None:
            return None
        return StoredRecord(dict(kept.fields), kept.expires_s - self._clock())

    async def delete(self, key: str, *, lifetime_s: float) -> bool:
        """Remove a record and keep its key from being used again."""
        existed = await self.get(key) is not None
        if existed:
            self._forget(key)
            self._records[key] = _Kept(self._clock() + lifetime_s, None)
        return existed

    async def add_tasks(self, tasks: Sequence[Task]) -> list[bool]:
        """Add tasks."""
        self._forget_what_expired()
        return [self._add(task) for task in tasks]

    async def lease_tasks(self, *, max_n: int, lease_s: float) -> list[Lease]:
        """Take tasks that are due."""
        self._forget_what_expired()
        now_s = self._clock()
        due = [waiting for waiting in self._tasks.values() if waiting.due_s <= now_s]
        taken = sorted(due, key=lambda waiting: waiting.due_s)[:max_n]
        for waiting in taken:
            waiting.due_s = now_s + lease_s
            waiting.attempt += 1
        return [Lease(waiting.task, waiting.attempt) for waiting in taken]

    async def finish_task(self, lease: Lease) -> None:
        """Remove a task."""
        self._tasks.pop(lease.task.task_id, None)

    async def postpone_task(self, lease: Lease, *, delay_s: float) -> None:
        """Postpone a task."""
        waiting = self._tasks.get(lease.task.task_id)
        if waiting is not None and waiting.attempt == lease.attempt:
            waiting.due_s = self._clock() + delay_s

    async def close(self) -> None:
        """Nothing is held."""

    def _put(self, record: Record, lifetime_s: float) -> bool:
        kept = self._records.get(record.key, _Kept(0))
        if kept.fields is None:
            return False
        growth = sum(
            len(content) - len(kept.fields.get(name, b"")) for name, content in record.fields.items()
        )
        if growth > 0 and self._bytes + growth > self._max_bytes:
            raise UpstreamUnavailable("the state store is full")
        self._bytes += growth
        self._records[record.key] = kept
        kept.fields.update(record.fields)
        kept.expires_s = self._clock() + lifetime_s
        return True

    def _add(self, task: Task) -> bool:
        if task.task_id not in self._tasks:
            if len(self._tasks) >= MAX_TASKS:
                return False
            now_s = self._clock()
            self._tasks[task.task_id] = _Waiting(task, now_s + TASK_LIFETIME_S, now_s)
        return True

    def _forget(self, key: str) -> None:
        self._bytes -= self._records.pop(key).size

    def _forget_what_expired(self) -> None:
        now_s = self._clock()
        for key in [key for key, kept in self._records.items() if kept.expires_s <= now_s]:
            self._forget(key)
        for task_id in [name for name, waiting in self._tasks.items() if waiting.expires_s <= now_s]:
            del self._tasks[task_id]

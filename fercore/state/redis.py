"""The store of the cluster: a Redis with an append-only file.

Written for one Redis of version 6.2 to 8, not for a Redis cluster; how it is reached is `fercore.redis`'s.
"""

from collections.abc import Sequence

from redis.asyncio.client import Pipeline

from fercore.redis.connection import RedisConnection
from fercore.redis.vitals import Vitals
from fercore.state.store import MAX_TASKS, TASK_LIFETIME_S, Lease, Record, StoredRecord, Task

_RECORD = "fer:record:"
_TASK = "fer:task:"
_DUE = "fer:tasks"
_DELETED = "deleted"
"""A field that no record has; alone under its key, it keeps a deleted record from coming back."""

_PUT = """
-- KEYS: the record. ARGV: the mark of a deleted one, lifetime in ms, fields and values.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

_DELETE = """
-- KEYS: the record. ARGV: the mark of a deleted one, its lifetime in ms.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], '')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

_ADD = """
-- KEYS: when tasks are due, the task. ARGV: its id, its body, how many tasks at most, lifetime in ms.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 1
end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
  return 0
end
local time = redis.call('TIME')
redis.call('HSET', KEYS[2], 'body', ARGV[2], 'attempt', 0)
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return 1
"""

_LEASE = """
-- KEYS: when tasks are due. ARGV: prefix of tasks, how many at most, lease in ms.
-- Returns {id, body, attempt} of each.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local leased = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[2])) do
  local body = redis.call('HGET', ARGV[1] .. id, 'body')
  if body then
    redis.call('ZADD', KEYS[1], now_ms + ARGV[3], id)
    table.insert(leased, {id, body, redis.call('HINCRBY', ARGV[1] .. id, 'attempt', 1)})
  else -- it has expired
    redis.call('ZREM', KEYS[1], id)
  end
end
return leased
"""

_POSTPONE = """
-- KEYS: when tasks are due, the task. ARGV: its id, the attempt that failed, delay in ms.
if redis.call('HGET', KEYS[2], 'attempt') == ARGV[2] then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
end
"""


class RedisState:
    """The `StateStore` protocol on one Redis; the scripts are short and are sent along each time.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        max_connections: a call waits for a free one.
        timeout_s: a store that does not answer for so long is unavailable.
    """

    def __init__(self, url: str, *, max_connections: int = 8, timeout_s: float = 2.0) -> None:
        self._connection = RedisConnection(
            url,
            name="the state store",
            max_connections=max_connections,
            timeout_s=timeout_s,
            retries=1,  # a connection may be from before a restart of the store
        )
        self._ask = self._connection.ask
        self._redis = self._connection.redis

    async def put(self, records: Sequence[Record], *, lifetime_s: float) -> list[bool]:
        """Set fields of many records in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for record in records:
            fields = [part for field in record.fields.items() for part in field]
            pipeline.eval(_PUT, 1, _RECORD + record.key, _DELETED, _ms(lifetime_s), *fields)
        return await self._ask_many(pipeline)

    async def get(self, key: str) -> StoredRecord | None:
        """Return a record, or None."""
        pipeline = self._redis.pipeline(transaction=False)  # a full Redis takes no transaction
        pipeline.hgetall(_RECORD + key)
        pipeline.pttl(_RECORD + key)
        fields, left_ms = await self._ask(pipeline.execute())
        if left_ms <= 0 or _DELETED.encode() in fields:
            return None
        return StoredRecord({name.decode(): value for name, value in fields.items()}, left_ms / 1000)

    async def delete(self, key: str, *, lifetime_s: float) -> bool:
        """Remove a record and keep its key from being used again."""
        return bool(await self._ask(self._redis.eval(_DELETE, 1, _RECORD + key, _DELETED, _ms(lifetime_s))))

    async def add_tasks(self, tasks: Sequence[Task]) -> list[bool]:
        """Add tasks in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for task in tasks:
            keys = (_DUE, _TASK + task.task_id)
            pipeline.eval(_ADD, 2, *keys, task.task_id, task.body, MAX_TASKS, _ms(TASK_LIFETIME_S))
        return await self._ask_many(pipeline)

    async def lease_tasks(self, *, max_n: int, lease_s: float) -> list[Lease]:
        """Take tasks that are due."""
        leased = await self._ask(self._redis.eval(_LEASE, 1, _DUE, _TASK, max_n, _ms(lease_s)))
        return [Lease(Task(task_id.decode(), body), attempt) for task_id, body, attempt in leased]

    async def finish_task(self, lease: Lease) -> None:
        """Remove a task."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zrem(_DUE, lease.task.task_id)
        pipeline.delete(_TASK + lease.task.task_id)
        await self._ask(pipeline.execute())

    async def postpone_task(self, lease: Lease, *, delay_s: float) -> None:
        """Postpone a task."""
        task_id = lease.task.task_id
        await self._ask(
            self._redis.eval(_POSTPONE, 2, _DUE, _TASK + task_id, task_id, lease.attempt, _ms(delay_s))
        )

    async def vitals(self) -> Vitals:
        """Read how Redis is."""
        return await self._connection.vitals()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def _ask_many(self, pipeline: Pipeline) -> list[bool]:
        return [bool(result) for result in await self._ask(pipeline.execute())]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))

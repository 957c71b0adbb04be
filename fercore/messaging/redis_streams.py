"""The queue of the cluster: Redis streams with consumer groups.

How Redis is reached in bounded time: `fercore.redis`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from fercore.messaging.clock import BrokerClock
from fercore.messaging.envelope import from_fields, to_fields
from fercore.messaging.queue import (
    STREAM_MAXLEN,
    WORK_STREAM_TTL_MS,
    WORKER_KEY_TTL_MS,
    Backlog,
    Channel,
    Claimed,
    Ending,
    Envelope,
    ReceivedMessage,
)
from fercore.messaging.redis_scripts import BACKLOG, CLAIM, END, WITHDRAW, end_arguments, reply_key
from fercore.redis.connection import RedisConnection
from fercore.redis.vitals import Vitals

_LEFT_ALONE_MS = 1000
_LOOKED_AT_FOR_EXPIRY = 100
_FIRST_CLOCK_READINGS = 3

_ScriptCall = tuple[list[str], list[str | int | bytes]]


class RedisStreams:
    """The `Queue` protocol on one Redis, 6.2 or later.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        max_connections: each waiting `receive` holds one; a call waits for a free one.
        timeout_s: a broker that does not answer for so long is unavailable.
    """

    def __init__(self, url: str, *, max_connections: int = 32, timeout_s: float = 1.5) -> None:
        self._connection = RedisConnection(
            url,
            name="the broker",
            max_connections=max_connections,
            timeout_s=timeout_s,
            retries=0,  # a publish must not happen twice; the consume loop has patience
        )
        self._ask = self._connection.ask
        self._redis = self._connection.redis
        self._clock = BrokerClock()
        self._taken_replies: dict[str, list[bytes]] = {}
        self._end_sha = self._redis.register_script(END).sha
        self._claim_script = self._redis.register_script(CLAIM)
        self._withdraw_script = self._redis.register_script(WITHDRAW)
        self._backlog_script = self._redis.register_script(BACKLOG)

    def now_ms(self) -> float:
        """Return Redis's time; `ping` and every call that travels keep it right.

        Raises:
            UpstreamUnavailable: Redis has never answered.
        """
        return self._clock.now_ms()

    async def ping(self) -> None:
        """Read Redis's clock."""
        await self._ask(self._read_clock())

    async def publish(self, channel: Channel, envelope: Envelope) -> None:
        """Append one message."""
        await self._keep_clock()
        await self.append(channel, to_fields(envelope, sent_ms=self.now_ms()))

    async def append(self, channel: Channel, fields: Mapping[str, bytes]) -> None:
        """Append fields as they are, be they an envelope or not."""
        await self._ask(self._append(channel, fields))

    async def receive(
        self, channel: Channel, worker_id: str, *, max_n: int, wait_ms: int
    ) -> list[ReceivedMessage]:
        """Take up to `max_n` new messages, waiting up to `wait_ms` for the first."""
        await self._keep_clock()
        found = await self._ask(self._read_group(channel, worker_id, max_n, wait_ms), wait_ms=wait_ms)
        return [_received(channel, message_id, fields, 1) for message_id, fields in found]

    async def claim(self, channel: Channel, worker_id: str, *, max_n: int) -> Claimed:
        """Claim from dead workers, drop what is past its deadline, forget names that hold nothing."""
        prefix = _worker_key(channel.service, "")
        who: list[str | int] = [channel.service, worker_id, max_n, prefix]
        arguments = [*who, _LEFT_ALONE_MS, _LOOKED_AT_FOR_EXPIRY]
        expired, claimed = await self._ask(self._claim_script([channel.stream], arguments))
        messages = [
            _received(channel, message_id, dict(zip(fields[::2], fields[1::2], strict=True)), count)
            for message_id, count, fields in claimed
        ]
        return Claimed(messages, expired)

    async def settle(self, endings: Sequence[Ending]) -> list[bool]:
        """End many messages in one round trip."""
        sent_ms = self.now_ms()
        calls = [end_arguments(ending, sent_ms=sent_ms) for ending in endings]
        return [bool(result) for result in await self._ask(self._run_end_script(calls))]

    async def heartbeat(self, service: str, worker_id: str, offer: bytes) -> None:
        """Renew the worker's key for `WORKER_KEY_TTL_MS`."""
        await self._keep_clock()
        await self._ask(self._redis.set(_worker_key(service, worker_id), offer, px=WORKER_KEY_TTL_MS))

    async def withdraw(self, channel: Channel, worker_id: str) -> None:
        """Delete the worker's key."""
        keys = [channel.stream, _worker_key(channel.service, worker_id)]
        await self._ask(self._withdraw_script(keys, [channel.service, worker_id]))

    async def offers(self, service: str) -> dict[str, bytes]:
        """Return the offers of live workers."""
        return await self._ask(self._read_offers(_worker_key(service, "")))

    async def receive_replies(self, reply_to: str, *, wait_ms: int) -> list[Envelope]:
        """Take all replies for one gateway, waiting up to `wait_ms` for the first.

        What a call returned is deleted on the way of the next one: one round trip for both.
        """
        await self._keep_clock()
        found = await self._ask(self._read_replies(reply_to, wait_ms), wait_ms=wait_ms)
        self._taken_replies[reply_to] = [message_id for message_id, _ in found]
        envelopes = [from_fields(_by_name(fields)) for _, fields in found]
        return [envelope for envelope in envelopes if envelope is not None]

    async def backlog(self, channel: Channel) -> Backlog:
        """Return how many messages are waiting or in hand, and for how long."""
        depth, oldest_ms = await self._ask(self._backlog_script([channel.stream]))
        return Backlog(depth, oldest_ms)

    async def vitals(self) -> Vitals:
        """Read how Redis is."""
        return await self._connection.vitals()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def _keep_clock(self) -> None:
        if self._clock.claim_reading():
            await self._ask(self._read_clock())

    async def _read_clock(self) -> None:
        # The first reading may be held up by making a connection, so there are more.
        for _ in range(1 if self._clock.is_set else _FIRST_CLOCK_READINGS):
            asked_ms = self._clock.local_ms()
            seconds, microseconds = await self._redis.time()
            answered_ms = self._clock.local_ms()
            broker_ms = seconds * 1000 + microseconds / 1000
            self._clock.set(asked_ms=asked_ms, broker_ms=broker_ms, answered_ms=answered_ms)

    async def _append(self, channel: Channel, fields: Mapping[str, bytes]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.xadd(channel.stream, dict(fields.items()), maxlen=STREAM_MAXLEN, approximate=True)
            pipeline.pexpire(channel.stream, WORK_STREAM_TTL_MS)
            await pipeline.execute()

    async def _read_group(
        self, channel: Channel, worker_id: str, max_n: int, wait_ms: int
    ) -> Sequence[tuple[bytes, Mapping[bytes, bytes]]]:
        try:
            found = await self._redis.xreadgroup(
                channel.service, worker_id, {channel.stream: ">"}, count=max_n, block=_block(wait_ms)
            )
        except ResponseError as err:
            if not str(err).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self._make_group(channel)
            return []
        return _entries(found)

    async def _make_group(self, channel: Channel) -> None:
        try:
            await self._redis.xgroup_create(channel.stream, channel.service, id="0", mkstream=True)
        except ResponseError as err:
            if not str(err).startswith("BUSYGROUP"):
                raise

    async def _run_end_script(self, calls: Sequence[_ScriptCall]) -> list[object]:
        results = await self._pipeline(self._end_sha, calls)
        # After a restart or a SCRIPT FLUSH the script is sent along, for those calls that were not run.
        missed = [n for n, result in enumerate(results) if isinstance(result, NoScriptError)]
        if missed:
            again = await self._pipeline(None, [calls[n] for n in missed])
            for n, result in zip(missed, again, strict=True):
                results[n] = result
        for result in results:
            if isinstance(result, RedisError):
                raise result
        return results

    async def _pipeline(self, end_sha: str | None, calls: Sequence[_ScriptCall]) -> list[object]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for keys, arguments in calls:
                if end_sha is None:
                    pipeline.eval(END, len(keys), *keys, *arguments)
                else:
                    pipeline.evalsha(end_sha, len(keys), *keys, *arguments)
            return await pipeline.execute(raise_on_error=False)

    async def _read_offers(self, prefix: str) -> dict[str, bytes]:
        keys = [key async for key in self._redis.scan_iter(match=f"{prefix}*", count=1000)]
        if not keys:
            return {}
        offers = await self._redis.mget(keys)
        return {
            key.decode().removeprefix(prefix): offer
            for key, offer in zip(keys, offers, strict=True)
            if isinstance(offer, bytes)  # None where it expired in between
        }

    async def _read_replies(
        self, reply_to: str, wait_ms: int
    ) -> Sequence[tuple[bytes, Mapping[bytes, bytes]]]:
        key = reply_key(reply_to)
        async with self._redis.pipeline(transaction=False) as pipeline:
            if taken := self._taken_replies.get(reply_to):
                pipeline.xdel(key, *taken)
            pipeline.xread({key: "0-0"}, block=_block(wait_ms))
            return _entries((await pipeline.execute())[-1])


def _worker_key(service: str, worker_id: str) -> str:
    return f"fer:worker:{service}:{worker_id}"


def _block(wait_ms: int) -> int | None:
    return wait_ms if wait_ms > 0 else None  # 0 would wait without end


def _by_name(fields: Mapping[bytes, bytes]) -> dict[str, bytes]:
    return {name.decode(errors="replace"): value for name, value in fields.items()}


def _entries(found: Any) -> Sequence[tuple[bytes, Mapping[bytes, bytes]]]:  # noqa: ANN401 - untyped in redis-py
    """Return the entries of the one stream that was read."""
    return found[0][1] if found else []


def _received(
    channel: Channel, message_id: bytes, fields: Mapping[bytes, bytes], attempts: int
) -> ReceivedMessage:
    named = _by_name(fields)
    return ReceivedMessage(channel, message_id.decode(), from_fields(named), named, attempts)

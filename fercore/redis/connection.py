"""Connections to a Redis: calls that end in bounded time, and its vitals; translates what redis-py raises."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError

from fercore.contracts.errors import UpstreamUnavailable
from fercore.redis.vitals import Vitals

_T = TypeVar("_T")


class RedisConnection:
    """The connections of one process to one Redis, 6.2 or later.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        name: what faults call it.
        max_connections: a call waits for a free one.
        timeout_s: a Redis that does not answer for so long is unavailable.
        retries: how often a call is sent again whose connection broke.
    """

    def __init__(self, url: str, *, name: str, max_connections: int, timeout_s: float, retries: int) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=None,  # this and all other waiting is limited in `ask`
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), retries),
            protocol=2,
            driver_info=None,
        )
        self.redis = Redis.from_pool(pool)
        self._name = name
        self._timeout_s = timeout_s

    async def ask(self, call: Awaitable[_T], *, wait_ms: int = 0) -> _T:
        """Await what Redis does, in bounded time.

        Args:
            call: of `redis`.
            wait_ms: so long Redis itself may wait before it answers.

        Raises:
            UpstreamUnavailable: it cannot be reached, refuses, or does not answer.
        """
        try:
            async with asyncio.timeout(self._timeout_s + wait_ms / 1000):
                return await call
        except TimeoutError as err:
            raise UpstreamUnavailable(f"{self._name} does not answer") from err
        except AuthenticationError as err:
            raise UpstreamUnavailable(f"{self._name} refuses the password") from err
        except (RedisError, OSError) as err:
            raise UpstreamUnavailable(f"{self._name} cannot be used") from err

    async def vitals(self) -> Vitals:
        """Read how it is.

        Raises:
            UpstreamUnavailable: see `ask`.
        """
        told = await self.ask(self.redis.info())
        return Vitals(told["used_memory"], told["maxmemory"], told["connected_clients"])

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose(close_connection_pool=True)

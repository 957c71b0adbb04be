"""The queues that must all keep the same promises."""

import pytest

from fercore.messaging.memory import InMemoryQueue
from fercore.messaging.queue import Queue
from fercore.messaging.redis_streams import RedisStreams


@pytest.fixture(params=["memory", "redis"])
async def queue(request):
    queue: Queue
    if request.param == "memory":
        queue = InMemoryQueue()
    else:
        queue = RedisStreams(request.getfixturevalue("redis_server").url, timeout_s=10)
    await queue.ping()
    yield queue
    await queue.close()

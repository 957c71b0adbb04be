"""A load generator that costs little: prebuilt requests over kept-alive connections, closed loop.

Every worker sends its next request when its last one is answered; the number of workers is the concurrency.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import urlsplit


@dataclass
class Load:
    """What one level of concurrency gave.

    Attributes:
        latencies_s: one for each request answered 200 after the warm-up.
        statuses: how many of each HTTP status.
        seconds: length of the measured part.
    """

    concurrency: int
    seconds: float
    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_s) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Give a latency percentile, nearest rank."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


async def run_load(
    url: str, image: bytes, *, concurrency: int, seconds: float, warm_up_s: float = 2.0
) -> Load:
    """Send `image` to `POST url` from `concurrency` connections for a bounded time."""
    parts = urlsplit(url)
    request = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(image)}\r\n\r\n"
    ).encode() + image
    load = Load(concurrency, seconds)
    begin = perf_counter() + warm_up_s
    end = begin + seconds

    async def worker() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            while (start := perf_counter()) < end:
                writer.write(request)
                status = await _read_answer(reader)
                now = perf_counter()
                if start >= begin:
                    load.statuses[status] = load.statuses.get(status, 0) + 1
                    if status == 200:
                        load.latencies_s.append(now - start)
        finally:
            writer.close()

    async with asyncio.timeout(warm_up_s + seconds + 30), asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())
    return load


async def _read_answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])

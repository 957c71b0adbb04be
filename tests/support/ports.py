"""Ports of 127.0.0.1 for servers that tests start, stop and start again on the same port."""

import itertools
import os
import random
import socket

_FIRST, _SLICE = 10_000, 1_000
"""Below the ports that Linux gives to clients (32768 and up), who could take one that a server has left."""

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_offset = random.randrange(_SLICE)
_next = itertools.count()


def free_ports(count: int) -> list[int]:
    """Return so many ports on which nobody listens; each process of a parallel run has its own thousand."""
    found: list[int] = []
    while len(found) < count:
        port = _FIRST + _worker % 20 * _SLICE + (_offset + next(_next)) % _SLICE
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def free_port() -> int:
    """Return a port on which nobody listens."""
    return free_ports(1)[0]

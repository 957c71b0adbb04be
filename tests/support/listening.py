"""Which addresses a port of this machine is bound to, from the kernel's own table."""

import ipaddress
import struct
from pathlib import Path

_LISTEN = "0A"


def addresses(port: int) -> set[str]:
    """Give the addresses on which somebody listens on a TCP port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, hex_port = local.partition(":")
            if state == _LISTEN and int(hex_port, 16) == port:
                words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
                bound = ipaddress.ip_address(struct.pack(f"<{len(words)}I", *words))
                found.add(str(getattr(bound, "ipv4_mapped", None) or bound))
    return found

"""Which addresses a webhook may go to: public ones only, and all that a name leads to must be.

Knows no HTTP. Sources: IANA's special-purpose address registries, as `ipaddress` holds them; RFC 4291.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All other IPv6 is local, multicast, reserved, or an IPv4 address in disguise (mapped, NAT64)."""

ALSO_SPECIAL = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))
"""In the registries, but not in the `ipaddress` of every Python."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host for TCP, those to be preferred first; raises OSError when there are none."""


class AddressRefused(Exception):
    """A name leads to an address that is not public."""


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in found]


def is_public(text: str) -> bool:
    """Return whether an address is one of the public internet."""
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return _is_global(address)
    hides_another = address.sixtofour is not None or address.teredo is not None
    return address in GLOBAL_UNICAST and _is_global(address) and not hides_another


def check_all(host: str, addresses: list[str]) -> None:
    """Make sure that every address of a host is public.

    Raises:
        AddressRefused: one is not; then none is used, for the name is not to be trusted.
    """
    for address in addresses:
        if not is_public(address):
            raise AddressRefused(f"{host} leads to {address}, which is no public address")


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    is_special = address.is_multicast or any(address in network for network in ALSO_SPECIAL)
    return address.is_global and not is_special

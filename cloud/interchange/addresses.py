"""Where an order may be sent: TLS everywhere but on this machine, and never to what only stands behind the firewall."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from cloud.errors import BadInputError

#: Characters of a supplier's address.
MOST_URL = 500

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect: `address` is what the name stood for when it was checked, so that it cannot change in between."""

    url: SplitResult
    host: str
    port: int
    address: str

    @property
    def connect_url(self) -> str:
        """The address's own URL."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return self.url._replace(netloc=f"{host}:{self.port}").geturl()


def check_url(url: str, *, allow_private: bool) -> tuple[SplitResult, str, int]:
    """The parts, host and port of a supplier's address. Raises BadInputError saying what is wrong with it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadInputError(f"url: {url[:100]!r} is no web address") from None
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host or len(url) > MOST_URL or not url.isascii() or " " in url:
        raise BadInputError(f"url: {url[:100]!r} is no address such as https://orders.example.com/evercount")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadInputError("url: no user, password or fragment may stand in it; the order's signature says who we are")
    if parts.scheme == "http" and not (allow_private and _is_loopback(host)):
        raise BadInputError(f"url: {host} must be reached by https")
    return parts, host, port or (443 if parts.scheme == "https" else 80)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def resolve(url: str, *, allow_private: bool) -> Target:
    """Find out where `url` leads. Raises BadInputError where that is not allowed, OSError where the name is not known."""
    parts, host, port = check_url(url, allow_private=allow_private)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses:
        raise OSError(f"{host} has no address")
    for address in addresses:
        if not (allow_private or is_public(ipaddress.ip_address(address.partition("%")[0]))):
            raise BadInputError(f"url: {host} leads to {address}, which is not on the public internet")
    return Target(parts, host, port, addresses[0])


def is_public(address: _Address) -> bool:
    """Whether an address belongs to the public internet; what an IPv6 address wraps counts too."""
    if isinstance(address, ipaddress.IPv6Address):
        for inner in (address.ipv4_mapped, address.sixtofour, address.teredo[1] if address.teredo else None):
            if inner is not None and not is_public(inner):
                return False
    return address.is_global and not address.is_multicast

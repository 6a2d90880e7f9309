"""Where a webhook may go: to public addresses, by the address that was checked.

The name is resolved here and the connection is made to that address, so that a name that
answers differently a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.errors import InvalidRequestError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOW_32_BITS = 2**32 - 1


@dataclass(frozen=True)
class Target:
    """A checked address: connect to `ip`, speak to `host`."""

    url: str
    scheme: str
    host: str
    port: int
    ip: str
    path: str


@dataclass(frozen=True, kw_only=True)
class WebhookGuard:
    """`allow_private` is for tests and closed networks: plain http and private addresses too."""

    allow_private: bool = False

    def check(self, url: str) -> None:
        """Refuse what can be refused without asking the resolver.

        Raises:
            InvalidRequestError: not https, no host, a user in it, or a private address.
        """
        host, _ = self._host_and_port(url)
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return
        self._require_public(literal, host)

    async def resolve(self, url: str) -> Target:
        """The one address to connect to; all that the name has must be public.

        Raises:
            InvalidRequestError: refused, or the name has no address.
        """
        host, port = self._host_and_port(url)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise _refused(f"{host[:80]} has no address") from error
        addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        for address in addresses:
            self._require_public(address, host)
        parts = urlsplit(url)
        path = parts.path or "/"
        if parts.query:
            path += f"?{parts.query}"
        return Target(url, parts.scheme, host, port, str(addresses[0]), path)

    def _host_and_port(self, url: str) -> tuple[str, int]:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise _refused("it is not an address") from error
        if parts.scheme != "https" and not (self.allow_private and parts.scheme == "http"):
            raise _refused("it has to begin with https://")
        if not parts.hostname or parts.username is not None:
            raise _refused("it needs a host and may name no user")
        return parts.hostname, port or (443 if parts.scheme == "https" else 80)

    def _require_public(self, address: Address, host: str) -> None:
        if not self.allow_private and not is_public(address):
            raise _refused(f"{host[:80]} is not a public address")


def is_public(address: Address) -> bool:
    """Whether an address is on the open Internet, and so is the one inside it, if any.

    >>> [is_public(ipaddress.ip_address(text)) for text in ("93.184.216.34", "169.254.169.254")]
    [True, False]
    >>> is_public(ipaddress.ip_address("::ffff:10.0.0.1"))
    False
    """
    if not address.is_global or address.is_multicast or address.is_reserved:
        return _is_nat64_of_public(address)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        return inner is None or is_public(inner)
    return True


def _is_nat64_of_public(address: Address) -> bool:
    """RFC 6052: the last 32 bits are an IPv4 address."""
    if not isinstance(address, ipaddress.IPv6Address) or address not in _NAT64:
        return False
    return is_public(ipaddress.IPv4Address(int(address) & _LOW_32_BITS))


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The webhook is refused: {why}.", pointer="/webhook")

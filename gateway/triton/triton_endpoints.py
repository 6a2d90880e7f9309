"""Where the Tritons are: addresses, and names that stand for as many Tritons as they resolve to."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

DNS_SCHEME = "dns:///"
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+):(?P<port>\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class TritonEndpoints:
    """What `RETOUCH_TRITON_URL` says: `host:port` and `dns:///name:port`, separated by commas."""

    addresses: tuple[str, ...]
    """host:port of one Triton each."""
    names: tuple[tuple[str, int], ...] = ()
    """Name and port; every address that the name resolves to is a Triton."""

    @classmethod
    def parse(cls, text: str) -> TritonEndpoints:
        """Read the setting.

        Raises:
            ValueError: a part of it is neither form, or nothing is left.
        """
        addresses, names = [], []
        for part in filter(None, (part.strip() for part in text.split(","))):
            host, port = _host_and_port(part.removeprefix(DNS_SCHEME))
            if part.startswith(DNS_SCHEME):
                names.append((host, port))
            else:
                addresses.append(f"{host}:{port}")
        if not addresses and not names:
            raise ValueError("it names no Triton; give host:port or dns:///name:port")
        return cls(tuple(dict.fromkeys(addresses)), tuple(dict.fromkeys(names)))

    @property
    def only(self) -> str | None:
        """The one address, where there is but one and no name."""
        return self.addresses[0] if len(self.addresses) == 1 and not self.names else None

    def resolve(self) -> tuple[str, ...]:
        """Every Triton's host:port, those behind names in order; blocks.

        Raises:
            OSError: a name does not resolve.
        """
        found = [address for name, port in self.names for address in _lookup(name, port)]
        return tuple(dict.fromkeys((*self.addresses, *found)))


def _host_and_port(address: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 2**16:
        raise ValueError(f"{address[:200]!r} is not host:port; a port is 1 to 65535")
    return match["host"], int(match["port"])


def _lookup(name: str, port: int) -> list[str]:
    answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return sorted({_joined(str(address[0]), port) for *_, address in answers})


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

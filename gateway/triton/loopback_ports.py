"""TCP ports of this machine: which are free, which are taken."""

from __future__ import annotations

import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return different loopback ports that nobody listens on, for now."""
    listeners = [_bound(LOOPBACK, 0) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def can_bind(ports: Iterable[int], *, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on all of `ports` now; `host` is an address or a name."""
    try:
        for port in ports:
            _bound(host, port).close()
    except OSError:
        return False
    return True


def accepts(port: int) -> bool:
    """Whether something on loopback takes connections on `port`."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener

"""Where keys are kept, and when there must be some."""

from __future__ import annotations

import ipaddress

from gateway.errors import RetouchError
from gateway.keys.key_store import KeyStore
from gateway.settings import Settings


class KeysMissingError(RetouchError):
    """The gateway would be open to the network."""

    title = "No keys"


def key_store(settings: Settings) -> KeyStore:
    """In the jobs' PostgreSQL, which gateways share; otherwise in a file of its own."""
    url = settings.database_url
    if url is not None and not url.startswith("sqlite"):
        return KeyStore(url)
    return KeyStore.in_folder(settings.data_dir)


def keys_required(settings: Settings) -> bool:
    """Whether every request needs a key even though there may be none yet."""
    return not is_loopback(settings.host) and not settings.open_beyond_loopback


def require_keys_beyond_loopback(settings: Settings) -> None:
    """Refuse to listen where strangers are without a key to keep them out.

    Raises:
        KeysMissingError: no key was ever made and the host is not loopback.
    """
    if not keys_required(settings):
        return
    store = key_store(settings)
    try:
        if not store.any():
            raise KeysMissingError(
                f"{settings.host} is not loopback and there is no API key. Make one with "
                "`retouch keys create NAME`, or set RETOUCH_OPEN_BEYOND_LOOPBACK=true to let "
                "anyone on the network use everything."
            )
    finally:
        store.close()


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

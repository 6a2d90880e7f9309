"""Checks what clients present; remembers for seconds what it found."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass

from gateway.errors import InvalidKeyError
from gateway.keys.api_key import ApiKey, PresentedKey
from gateway.keys.key_store import KeyStore

FRESH_S = 5.0
"""For so long a revoked key may still open."""
_MAX_KNOWN = 10_000


@dataclass(frozen=True)
class _Known:
    key: ApiKey
    read_at: float


class KeyRing:
    """Keys of the store by the digest of what was presented, so scrypt runs once for each."""

    def __init__(self, store: KeyStore, *, always_required: bool) -> None:
        self._store = store
        self._always_required = always_required
        self._any_read_at = -FRESH_S
        self._any = False
        self._asking: asyncio.Task[None] | None = None
        self._known: dict[bytes, _Known] = {}

    async def required(self) -> bool:
        """Whether a request must bring a key."""
        if self._always_required or self._any:
            return True
        if time.monotonic() - self._any_read_at > FRESH_S:
            # Of many who come at a time one asks; who goes away takes nobody along.
            self._asking = self._asking or asyncio.create_task(self._ask(), name="any-keys")
            await asyncio.shield(self._asking)
        return self._any

    async def _ask(self) -> None:
        try:
            self._any = await asyncio.to_thread(self._store.any)
            self._any_read_at = time.monotonic()
        finally:
            self._asking = None

    async def check(self, text: str) -> ApiKey:
        """The key that was presented.

        Raises:
            InvalidKeyError: there is no such key, or it is revoked.
        """
        digest = hashlib.sha256(text.encode(errors="replace")).digest()
        known = self._known.get(digest)
        if known is None or time.monotonic() - known.read_at > FRESH_S:
            known = await asyncio.to_thread(self._look_up, text, known)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[digest] = known
        return known.key

    def _look_up(self, text: str, known: _Known | None) -> _Known:
        presented = PresentedKey.parse(text)
        key = self._store.get(presented.id) if presented else None
        if presented is None or key is None:
            raise InvalidKeyError("The API key is not known here.")
        proven = known is not None and known.key.hash == key.hash
        if not proven and not presented.opens(key):
            raise InvalidKeyError("The API key is not known here.")
        if key.is_revoked:
            raise InvalidKeyError("The API key has been revoked.")
        return _Known(key, time.monotonic())

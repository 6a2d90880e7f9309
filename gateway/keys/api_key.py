"""An API key: what is kept of it, how it is made, how it is checked."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

_FORM = re.compile(r"rt_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
# 16 MiB and some 40 ms: OWASP's Password Storage Cheat Sheet has N=2^17 for passwords that people
# choose; these secrets have 256 random bits.
_COST = {"n": 2**14, "r": 8, "p": 1}


class KeyScope(StrEnum):
    """What a key is good for."""

    USE = "use"
    """Everything but administration."""
    ADMIN = "admin"
    """Everything: models, metrics."""


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What is kept of a key; times are seconds since the epoch."""

    id: str
    name: str
    scope: KeyScope
    salt: bytes
    hash: bytes
    created_at: float
    revoked_at: float | None = None
    requests_per_minute: int | None = None
    megapixels_per_minute: float | None = None

    @property
    def is_revoked(self) -> bool:
        """Whether it opens nothing any more."""
        return self.revoked_at is not None


@dataclass(frozen=True)
class PresentedKey:
    """A key as a client sends it."""

    id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> PresentedKey | None:
        """None for what is no key of ours.

        >>> PresentedKey.parse("sk-123") is None
        True
        """
        found = _FORM.fullmatch(text)
        return cls(found.group(1), found.group(2)) if found else None

    @classmethod
    def new(cls) -> PresentedKey:
        """A key with 256 random bits."""
        return cls(secrets.token_hex(6), secrets.token_urlsafe(32))

    @property
    def text(self) -> str:
        """What the client sends; shown once."""
        return f"rt_{self.id}_{self.secret}"

    def hashed(self, salt: bytes) -> bytes:
        """scrypt of the secret; CPU work."""
        return hashlib.scrypt(self.secret.encode(), salt=salt, dklen=32, **_COST)

    def opens(self, key: ApiKey) -> bool:
        """Whether this is that key, in constant time; CPU work."""
        return hmac.compare_digest(self.hashed(key.salt), key.hash)

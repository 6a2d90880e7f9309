"""What is known of a picture without opening it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class StoredImage:
    """What is known of a stored picture without opening it."""

    id: str
    sha256: str
    width: int
    height: int
    format: str
    """"png", "jpeg", "webp", ..., or "cube" for a colour transform."""
    bytes: int
    warnings: tuple[str, ...] = ()
    """What was left out or changed when it was read, e.g. further frames."""

    @property
    def media_type(self) -> str:
        """Content type of the bytes."""
        return "text/plain" if self.format == "cube" else f"image/{self.format}"


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """A picture to keep."""

    data: bytes
    width: int
    height: int
    format: str
    warnings: tuple[str, ...] = ()

    def described(self) -> StoredImage:
        """Its record."""
        digest = hashlib.sha256(self.data).hexdigest()
        return StoredImage(
            f"file_{digest[:40]}",
            digest,
            self.width,
            self.height,
            self.format,
            len(self.data),
            self.warnings,
        )

"""What is known of a picture without opening it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

PNG_BYTES = 64 * 2**10
"""A PNG up to here, as masks are, says itself what its record would. A larger one would have to be
read, or fetched from another machine, only to be looked at."""
_PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


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

    @property
    def needs_record(self) -> bool:
        """Whether `described_png` would say something else of it."""
        if self.format != "png" or self.warnings or len(self.data) > PNG_BYTES:
            return True
        return _png_size(self.data) != (self.width, self.height)


@dataclass(frozen=True)
class BegunPut:
    """Pictures of which `ImageStore.begin_put` has done its part."""

    images: tuple[StoredImage, ...]
    news: tuple[NewImage, ...]
    is_written: bool
    removed: frozenset[str]
    """Ids that a sweep has, or had, in hand."""


def described_png(data: bytes | memoryview) -> StoredImage | None:
    """The record of a picture that has none; None where it cannot be told from the bytes."""
    size = _png_size(data) if len(data) <= PNG_BYTES else None
    if size is None:
        return None
    return NewImage(data=bytes(data), width=size[0], height=size[1], format="png").described()


def _png_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Width and height by the header, which a PNG begins with."""
    head = bytes(data[:24])
    if len(head) < 24 or not head.startswith(_PNG_HEAD):
        return None
    width, height = struct.unpack(">II", head[16:])
    return width, height

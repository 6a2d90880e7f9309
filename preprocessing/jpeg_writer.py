"""JPEG files of large pictures, encoded by several threads.

Strips are encoded apart and joined by restart markers, which is what these are for (ITU-T T.81,
B.2.1 and F.1.2.3): a decoder begins anew behind each. Pixels come out as from one encoder.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import simplejpeg

from preprocessing.arrays import Image

_BLOCK = 8
"""Rows and columns that are coded together, at 4:4:4."""
_STRIP_ROWS = 128
_MAX_INTERVAL = 65_535  # blocks between two restarts: 16 bits in the file
_MAX_PROFILE_PART = 65_519  # a segment's 65535 bytes less its length, name and numbers
_FRAME, _SCAN = 0xC0, 0xDA
_END = b"\xff\xd9"


def write_jpeg(
    strip_of: Callable[[slice], Image],
    size_wh: tuple[int, int],
    *,
    quality: int,
    profile: bytes | None = None,
    threads: int = 1,
) -> bytes:
    """Encode a baseline JPEG, 4:4:4.

    Args:
        strip_of: gives rows of the picture, (rows, W, 3) uint8 RGB; called from `threads` threads.
        size_wh: the picture's sides.
        quality: 1 to 100.
        profile: ICC profile to say what the values mean.
        threads: how many strips are at work at once; so many are in memory.
    """
    width, height = size_wh
    blocks_across = -(-width // _BLOCK)
    rows = min(_STRIP_ROWS, _BLOCK * (_MAX_INTERVAL // blocks_across))

    def encoded(top: int) -> tuple[bytes, bytes]:
        strip = np.ascontiguousarray(strip_of(slice(top, min(top + rows, height))))
        file = simplejpeg.encode_jpeg(strip, quality=quality, colorsubsampling="444")
        return _parted(file)

    parts: list[bytes] = []
    with ThreadPoolExecutor(threads, "jpeg-strips") as pool:
        for number, (head, scan) in enumerate(pool.map(encoded, range(0, height, rows))):
            if number == 0:
                interval = blocks_across * rows // _BLOCK if rows < height else 0
                parts.append(_head(head, height, profile=profile, interval=interval))
            else:
                parts.append(bytes((0xFF, 0xD0 + (number - 1) % 8)))
            parts.append(scan)
    return b"".join([*parts, _END])  # once: other threads wait for a buffer that grows


def _parted(file: bytes) -> tuple[bytes, bytes]:
    """A file's segments up to its one scan's header, and that scan's data."""
    offset = 2
    while True:
        marker, length = file[offset + 1], int.from_bytes(file[offset + 2 : offset + 4], "big")
        offset += 2 + length
        if marker == _SCAN:
            return file[:offset], file[offset : -len(_END)]


def _head(head: bytes, height: int, *, profile: bytes | None, interval: int) -> bytes:
    """The first strip's segments made those of the whole picture."""
    stream, offset = BytesIO(), 2
    stream.write(head[:2])
    while offset < len(head):
        marker, length = head[offset + 1], int.from_bytes(head[offset + 2 : offset + 4], "big")
        segment = head[offset : offset + 2 + length]
        if marker == _FRAME:
            segment = segment[:5] + struct.pack(">H", height) + segment[7:]
        if marker == _SCAN and interval:
            stream.write(b"\xff\xdd\x00\x04" + struct.pack(">H", interval))
        stream.write(segment)
        if offset == 2 and profile is not None:  # behind APP0, which has to come first
            stream.write(_profile_segments(profile))
        offset += 2 + length
    return stream.getvalue()


def _profile_segments(profile: bytes) -> bytes:
    """APP2 segments (ICC.1:2022, B.4)."""
    parts = [
        profile[start : start + _MAX_PROFILE_PART]
        for start in range(0, len(profile), _MAX_PROFILE_PART)
    ]
    return b"".join(
        b"\xff\xe2"
        + struct.pack(">H", len(part) + 16)
        + b"ICC_PROFILE\0"
        + bytes((number, len(parts)))
        + part
        for number, part in enumerate(parts, 1)
    )

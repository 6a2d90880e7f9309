"""Files that appear whole or not at all, whoever else writes the same one.

As the object store's own library writes them, names included, so that its listings pass over what a
write left behind that was killed. From here it needs no other thread to do it.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes, *, create: bool) -> bool:
    """Write a file in one step; folders are made. Not flushed to the disk.

    Args:
        path: where it will be.
        data: all of it.
        create: leave a file alone that is there; otherwise it is replaced.

    Returns:
        Whether it was written.

    Raises:
        OSError: it cannot be; nothing was written.
    """
    beside = path.with_name(f"{path.name}#{secrets.randbits(63)}")
    try:
        _write_new(beside, data)
        if not create:
            beside.replace(path)
            return True
        with suppress(FileExistsError):
            os.link(beside, path)
            return True
        return False
    finally:
        beside.unlink(missing_ok=True)


def _write_new(path: Path, data: bytes) -> None:
    try:
        file = path.open("xb", buffering=0)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb", buffering=0)
    with file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]

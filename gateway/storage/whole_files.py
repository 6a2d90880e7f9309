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
    # Paths as text: as objects they cost as much again as the system's calls.
    target = str(path)
    beside = f"{target}#{secrets.randbits(63)}"
    try:
        _write_new(beside, data)
        if not create:
            os.replace(beside, target)  # noqa: PTH105
            return True
        with suppress(FileExistsError):
            os.link(beside, target)
            return True
        return False
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside)  # noqa: PTH108


def _write_new(path: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        file = os.open(path, flags, 0o666)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, flags, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)

"""Removes the shared memory that killed Triton servers leave behind."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

logger = logging.getLogger(__name__)

REGION_PREFIX = "triton_python_backend_shm_region_"
_REGION_NAME = re.compile(rf"{REGION_PREFIX}[\w.-]+".encode())


def sweep_stale_regions(directory: Path = Path("/dev/shm")) -> list[str]:  # noqa: S108
    """Remove this user's Python-backend regions that no process maps; return their names, sorted.

    Only processes of this process-id namespace are seen: containers that share /dev/shm must share
    that too.
    """
    # Listed before the processes are read: a region made in between is no candidate.
    candidates = [path for path in directory.glob(f"{REGION_PREFIX}*") if _is_own(path)]
    if not candidates:
        return []
    mapped = _mapped_regions()
    stale = sorted(path for path in candidates if path.name not in mapped)
    for path in stale:
        path.unlink(missing_ok=True)
    if stale:
        logger.info("removed %d stale shared-memory regions", len(stale))
    return [path.name for path in stale]


def _is_own(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def _mapped_regions() -> set[str]:
    names: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            names.update(name.decode() for name in _REGION_NAME.findall(maps.read_bytes()))
        except OSError:  # it ended, or is another user's and then does not map what is ours
            continue
    return names

"""A checkpoint laid out as the hub's cache keeps it: blobs by digest, a snapshot of links."""

from __future__ import annotations

import hashlib
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def keep_as_snapshot(checkpoint: Path, cache: Path, hub_id: str) -> None:
    """Move the files of a checkpoint into a cache, as the branch `main` of a repository."""
    home = cache / f"models--{hub_id.replace('/', '--')}"
    (home / "blobs").mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file():
            blob = home / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
            link = home / "snapshots" / COMMIT / path.relative_to(checkpoint)
            link.parent.mkdir(parents=True, exist_ok=True)
            path.replace(blob)
            link.symlink_to(blob)

"""A Qwen-Image checkpoint on disk: found, identified by its own configs, and digested."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from export_scripts.export_errors import ExportError

COMPONENTS = ("transformer", "text_encoder", "vae")
_CONFIGS = ("scheduler", "tokenizer", "processor")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_BLOCK = 2**20


@dataclass(frozen=True)
class Checkpoint:
    """A folder in the hub's layout, and where it came from."""

    folder: Path
    source: str
    """Hub id or path, as it was asked for."""
    revision: str | None
    """Commit of the hub's repository; None for a plain folder."""

    @cached_property
    def index(self) -> dict[str, Any]:
        """What is in model_index.json."""
        return dict(json.loads((self.folder / "model_index.json").read_text()))

    @property
    def pipeline(self) -> str:
        """diffusers class that the checkpoint names."""
        return str(self.index["_class_name"])

    def files(self, part: str) -> Iterator[Path]:
        """Files of a component, sorted by name."""
        return (path for path in sorted((self.folder / part).rglob("*")) if path.is_file())

    def size_bytes(self, part: str) -> int:
        """Bytes of a component."""
        return sum(path.stat().st_size for path in self.files(part))

    def digests(self, part: str) -> dict[str, str]:
        """sha256 of every file of a component, by its name within the component."""
        root = self.folder / part
        return {str(path.relative_to(root)): sha256(path) for path in self.files(part)}


def find_checkpoint(source: str, revision: str | None = None) -> Checkpoint:
    """Find a checkpoint: a folder, or a hub id whose snapshot is fetched or resumed.

    Args:
        source: path of a folder with model_index.json, or `owner/name` on the hub.
        revision: branch, tag or commit; what it resolves to is recorded.

    Raises:
        ExportError: it is neither, cannot be fetched, or parts of it are missing.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _complete(Checkpoint(folder, source, None))
    if not _HUB_ID.fullmatch(source):
        raise ExportError(f"{source!r} is neither a folder nor a hub id like owner/name.")
    return _complete(_fetch(source, revision))


def sha256(path: Path) -> str:
    """Digest of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _fetch(source: str, revision: str | None) -> Checkpoint:
    """Only what is needed; files that are there already are not fetched again."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["model_index.json", *(f"{part}/*" for part in (*COMPONENTS, *_CONFIGS))]
    try:
        folder = Path(snapshot_download(source, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"{source} cannot be fetched from the hub: {reason}") from error
    # The hub's cache names a snapshot's folder by its commit.
    return Checkpoint(folder, source, folder.name)


def _complete(checkpoint: Checkpoint) -> Checkpoint:
    needed = ["model_index.json", *(f"{part}/config.json" for part in COMPONENTS)]
    if (checkpoint.folder / "model_index.json").exists():
        needed += [name for name in _CONFIGS if (checkpoint.index.get(name) or [None])[0]]
    missing = [name for name in needed if not (checkpoint.folder / name).exists()]
    if missing:
        raise ExportError(f"{checkpoint.source} lacks {', '.join(missing)}.")
    return checkpoint

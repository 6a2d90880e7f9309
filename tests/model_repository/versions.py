"""Folders of stage models with settings of their own."""

from __future__ import annotations

import json
from pathlib import Path


def write_version(folder: Path, weights: Path | None = None, **settings: object) -> Path:
    """A model's folder whose version 1 has these weights and a `stage.json`."""
    version = folder / "1"
    version.mkdir(parents=True, exist_ok=True)
    if weights is not None:
        (version / "weights").symlink_to(weights)
    (version / "stage.json").write_text(json.dumps(settings))
    return folder

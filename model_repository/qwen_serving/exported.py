"""What `retouch-export` left in a pipeline's folder: configs, never weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler
from transformers import AutoProcessor, AutoTokenizer


@dataclass(frozen=True)
class Exported:
    """An exported pipeline, loaded once and shared by its jobs."""

    folder: Path
    manifest: dict[str, Any]
    scheduler: Any
    tokenizer: Any
    processor: Any | None

    @classmethod
    def load(cls, folder: Path) -> Exported:
        """Read the manifest, scheduler, tokenizer and, for edit models, the processor."""
        manifest = json.loads((folder / "retouch.json").read_text())
        processor = None
        if (folder / "processor").is_dir():
            processor = AutoProcessor.from_pretrained(folder / "processor", local_files_only=True)
        return cls(
            folder=folder,
            manifest=manifest,
            scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler"),
            tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
            processor=processor,
        )

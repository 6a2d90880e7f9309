"""What `retouch-export` left in a pipeline's folder: configs, never weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler
from transformers import AutoProcessor, AutoTokenizer

SINGLE_STREAM = "QwenImage21Pipeline"


@dataclass(frozen=True)
class Exported:
    """An exported pipeline, loaded once and shared by its jobs."""

    folder: Path
    manifest: dict[str, Any]
    scheduler: Any
    tokenizer: Any | None
    """None where the processor has it."""
    processor: Any | None

    @property
    def is_single_stream(self) -> bool:
        """Whether it is of the 2.x line, whose calls differ."""
        return bool(self.manifest["pipeline"] == SINGLE_STREAM)

    @classmethod
    def load(cls, folder: Path) -> Exported:
        """Read the manifest, scheduler, tokenizer and, for edit models, the processor."""
        manifest = json.loads((folder / "retouch.json").read_text())
        tokenizer, processor = None, None
        if (folder / "tokenizer").is_dir():
            tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        if (folder / "processor").is_dir():
            processor = AutoProcessor.from_pretrained(folder / "processor", local_files_only=True)
        return cls(
            folder=folder,
            manifest=manifest,
            scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler"),
            tokenizer=tokenizer,
            processor=processor,
        )

"""Which version of which stage model runs a part of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LATEST = -1
"""Asks Triton for the newest version that it serves."""


@dataclass(frozen=True)
class StageName:
    """A stage model as a request names it."""

    model: str
    version: int = LATEST


def stage_of(entry: str | Mapping[str, Any]) -> StageName:
    """The stage that an entry of a manifest names: `{"model": ..., "version": ...}`, or a model."""
    if isinstance(entry, str):
        return StageName(entry)
    return StageName(entry["model"], int(entry.get("version", LATEST)))

"""What comes back, as frozen values; `raw` holds the whole answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ENDED = ("succeeded", "failed", "canceled", "expired")


@dataclass(frozen=True)
class Output:
    """One finished picture of a job."""

    url: str
    width: int
    height: int
    seed: int


@dataclass(frozen=True)
class Job:
    """A job as it was when it was asked for."""

    id: str
    status: str
    progress: float
    output: tuple[Output, ...]
    error: Mapping[str, str] | None
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in _ENDED

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Job:
        """From the gateway's answer."""
        names = ("url", "width", "height", "seed")
        output = tuple(Output(**{name: entry[name] for name in names}) for entry in raw["output"])
        return cls(raw["id"], raw["status"], raw["progress"], output, raw["error"], raw)


@dataclass(frozen=True)
class Event:
    """Something happened to a job."""

    id: int
    name: str
    """queued, started, progress, preview, succeeded, failed or canceled."""
    data: Mapping[str, Any]

    @property
    def is_last(self) -> bool:
        """Whether no event follows."""
        return self.name in _ENDED


@dataclass(frozen=True)
class Mask:
    """A found mask; `id` serves as the mask of an edit."""

    id: str
    score: float
    area: int
    bbox: tuple[int, int, int, int] | None
    png: bytes = field(repr=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Mask:
        """From the gateway's answer."""
        box = tuple(raw["bbox"]) if raw["bbox"] else None
        png = base64.b64decode(raw["png"])
        return cls(raw["mask_id"], raw["score"], raw["area"], box, png)

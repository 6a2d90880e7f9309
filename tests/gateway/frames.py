"""Server-sent events as a client reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Frame:
    id: int
    name: str
    data: Any


def parse(text: str) -> list[Frame]:
    """Whole frames of a stream, comments left out."""
    blocks = [block for block in text.split("\n\n")[:-1] if not block.startswith(":")]
    return [_frame(block) for block in blocks]


def _frame(block: str) -> Frame:
    fields = dict(line.split(": ", 1) for line in block.splitlines())
    assert fields.keys() == {"id", "event", "data"}
    return Frame(int(fields["id"]), fields["event"], json.loads(fields["data"]))

"""What a benchmark leaves behind: a Markdown table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with its columns lined up; the first column is text, the others figures.

    >>> print(markdown_table(["what", "ms"], [["null", "0.4"]]))
    | what |  ms |
    |------|----:|
    | null | 0.4 |
    """
    widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
    rule = [f"|{'-' * (widths[0] + 2)}"] + [f"|{'-' * (width + 1)}:" for width in widths[1:]]
    lines = [_line(headers, widths), "".join(rule) + "|"]
    return "\n".join(lines + [_line(row, widths) for row in rows])


def publish(markdown: str, figures: Mapping[str, Any], output: Path | None) -> None:
    """Print the Markdown; with `output` write it there too, with the figures beside it."""
    print(markdown)
    if output is None:
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(markdown + "\n")
    output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    figures = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([cells[0].ljust(widths[0]), *figures])} |"

"""The verdicts of a verification as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from export_scripts.verify import Verdict


def as_table(verdicts: Sequence[Verdict]) -> Table:
    """One row per case: differences in grey levels, PSNR, SSIM, and whether it passed."""
    table = Table("", "model", "case", "max", "mean", "PSNR dB", "SSIM", "limit")
    for verdict in verdicts:
        measured = verdict.similarity
        table.add_row(
            "[green]ok[/]" if verdict.passed else "[red]off[/]",
            verdict.case.model,
            verdict.case.name,
            str(measured.max_difference),
            f"{measured.mean_difference:.4f}",
            f"{measured.psnr_db:.1f}",
            f"{measured.ssim:.5f}",
            str(verdict.tolerance),
        )
    return table


def as_records(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The same for a file; an infinite PSNR, of equal pictures, is None."""
    records = [
        {**asdict(v.case), **asdict(v.similarity), "tolerance": v.tolerance} for v in verdicts
    ]
    for record in records:
        if record["psnr_db"] == float("inf"):
            record["psnr_db"] = None
    return records

"""Figures as pictures: every plot as PNG for pages and as SVG for print. Needs the extra `perf`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

mpl.use("agg")
SIZE_INCHES = (6.4, 3.8)
PNG_DPI = 144
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Lines over one axis."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Points]
    """x and y by legend."""
    log_x: bool = False
    log_y: bool = False


def save_plot(plot: Plot, folder: Path, name: str) -> str:
    """Write NAME.png and NAME.svg; the Markdown that shows the PNG from beside the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    for legend, points in plot.lines.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=legend)
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
    if plot.log_x:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({x for points in plot.lines.values() for x, _ in points}))
        axes.xaxis.set_major_formatter(ScalarFormatter())
    if plot.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(folder / f"{name}.png", dpi=PNG_DPI)
    # Without a date and with fixed ids, so that the same figures make the same file.
    with mpl.rc_context({"svg.hashsalt": "retouch"}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return f"![{plot.title}]({folder.name}/{name}.png)"
